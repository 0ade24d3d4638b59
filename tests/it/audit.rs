//! The audit log: complete, and proof against those who would change it.

use std::path::PathBuf;

use hive_testkit::{Finished, TestHive, WallClock};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::text;

/// A hive in which something has happened.
async fn busy_hive() -> TestHive {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    for number in 0..3 {
        hive.exec(&satellite, &format!("echo {number}")).await;
    }
    hive
}

async fn records(hive: &TestHive) -> Vec<Value> {
    let finished = hive.cli(["-o", "json", "audit", "list", "--limit", "1000"]).await.expect_success();
    finished.json().as_array().expect("an array").clone()
}

#[tokio::test]
async fn everything_that_acts_leaves_a_record() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    hive.exec(&satellite, "echo hello").await;
    hive.rest().put(&satellite.path(""), &json!({"tags": ["web"]})).await.data();
    // Removed last: the records about a satellite outlive it.
    hive.rest().delete(&satellite.path("")).await;

    let records = records(&hive).await;
    let has = |word: &str, result: &str| {
        records.iter().any(|record| text(&record["action"]).contains(word) && record["result"] == result)
    };
    for (word, result) in [
        ("user.create", "success"),
        ("api_key.create", "success"),
        ("registration_token.create", "success"),
        ("register", "success"),
        ("exec", "intent"),
        ("update", "success"),
        ("remove", "success"),
    ] {
        let actions: Vec<_> = records.iter().map(|record| (&record["action"], &record["result"])).collect();
        assert!(has(word, result), "no {word} with {result} in {actions:?}");
    }
    let sequence: Vec<u64> = records.iter().map(|record| record["seq"].as_u64().expect("a number")).collect();
    let expected: Vec<u64> = (1..=records.len() as u64).rev().collect();
    assert_eq!(sequence, expected, "newest first, without a gap");
    let exec = records.iter().find(|record| record["action"] == "satellite.exec").expect("an exec");
    assert_eq!(exec["actor"]["type"], "api_key");
    assert_eq!(exec["actor"]["ip"], "127.0.0.1");
    let one = hive.rest().get(&format!("/api/v1/audit/logs/{}", text(&exec["id"]))).await.data();
    assert_eq!(&one, exec);
}

#[tokio::test]
async fn records_are_found_by_action_and_satellite() {
    let hive = busy_hive().await;
    let count = async |args: &[&str]| {
        let args = ["-o", "json", "audit", "list"].iter().chain(args);
        let list = hive.cli(args).await.expect_success().json();
        list.as_array().expect("an array").len()
    };
    assert!(count(&["--action", "satellite.exec"]).await >= 3);
    assert!(count(&["--satellite", "web-server-01"]).await >= 4);
    assert_eq!(count(&["--until", "2020-01-01T00:00:00Z"]).await, 0);
    assert_eq!(count(&["--limit", "2"]).await, 2);
}

#[tokio::test]
async fn how_long_ago_a_record_was_made_counts_by_the_clock_of_the_hive() {
    const DAY: i64 = 24 * 3600;
    let hive = TestHive::start().await;
    let all = records(&hive).await.len();
    // The clock of the command line is wrong; that of the hive is right.
    for seconds in [DAY, -DAY] {
        let clock = WallClock::off_by(seconds);
        let count = async |when: [&str; 2]| {
            let mut command = hive.hive_command(hive.url(), ["-o", "json", "audit", "list"].iter().chain(&when));
            command.envs(clock.env());
            Finished::run(command).await.expect_success().json().as_array().expect("an array").len()
        };
        assert_eq!(count(["--since", "1h"]).await, all, "here it is {seconds} s later");
        assert_eq!(count(["--until", "1h"]).await, 0, "here it is {seconds} s later");
    }
}

#[tokio::test]
async fn a_trail_that_goes_to_standard_output_is_whole_and_has_nothing_beside_it() {
    let hive = busy_hive().await;
    let exported = hive.cli(["audit", "export", "--output", "-"]).await.expect_success();
    let path = hive.dir().join("audit.jsonl");
    std::fs::write(&path, &exported.stdout).unwrap();
    let verified = hive.cli(["-o", "json", "audit", "verify", path.to_str().unwrap()]).await.expect_success().json();
    let records = exported.stdout.lines().count() as u64 - 1;
    assert_eq!((&verified["valid"], &verified["records"]), (&json!(true), &json!(records)), "{verified}");
    assert!(exported.stderr.contains(&format!("{records} records")), "{}", exported.stderr);
}

/// An exported log that can be damaged.
struct AuditExport {
    hive: TestHive,
    path: PathBuf,
    lines: Vec<String>,
}

impl AuditExport {
    async fn create() -> Self {
        let hive = busy_hive().await;
        let path = hive.dir().join("audit.jsonl");
        hive.cli(["audit", "export", "--output", path.to_str().unwrap()]).await.expect_success();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'));
        let lines = text.lines().map(String::from).collect();
        Self { hive, path, lines }
    }

    async fn verify(&self, lines: &[String]) -> Finished {
        std::fs::write(&self.path, lines.join("\n") + "\n").unwrap();
        self.hive.cli(["-o", "json", "audit", "verify", self.path.to_str().unwrap()]).await
    }

    /// The damaged file is refused, and this is among the reasons.
    async fn check(&self, damage: impl FnOnce(&mut Vec<String>), fault: Value) {
        let mut lines = self.lines.clone();
        damage(&mut lines);
        let finished = self.verify(&lines).await;
        assert!(finished.code.is_some_and(|code| code != 0), "{fault} was not noticed");
        let found = finished.json();
        assert_eq!(found["valid"], false);
        let faults = found["faults"].as_array().expect("a list of faults");
        assert!(faults.contains(&fault), "{fault} is not among {faults:?}");
    }
}

/// Changes one word inside a record's stored text.
fn change(line: &str) -> String {
    let mut json: Value = serde_json::from_str(line).unwrap();
    // The line stays valid JSON, so that only the hash shows the change.
    let record = text(&json["record"]).replacen("admin", "nimda", 1);
    assert_ne!(record, json["record"], "the record has no such word: {line}");
    json["record"] = record.into();
    json.to_string()
}

fn position(lines: &[String], word: &str) -> usize {
    lines.iter().position(|line| line.contains(word)).expect("there is such a record")
}

#[tokio::test]
async fn every_damage_to_an_exported_trail_is_named() {
    let export = AuditExport::create().await;
    let intact = export.verify(&export.lines).await.expect_success().json();
    assert_eq!(intact["valid"], true);
    let last = export.lines.len() as u64 - 1;
    assert_eq!(intact["records"], last);

    let changed = position(&export.lines, "registration_token.create");
    let seq = changed as u64 + 1;
    export.check(|lines| lines[changed] = change(&lines[changed]), json!({"fault": "changed", "seq": seq})).await;
    export.check(|lines| drop(lines.remove(2)), json!({"fault": "removed", "first": 3, "last": 3})).await;
    export.check(|lines| drop(lines.drain(1..4)), json!({"fault": "removed", "first": 2, "last": 4})).await;
    // The manifest stays, so that only its count shows the missing end.
    let cut = json!({"fault": "tail_cut", "last_seq": last - 2, "expected": last});
    export.check(|lines| drop(lines.drain(lines.len() - 3..lines.len() - 1)), cut).await;
    export.check(|lines| drop(lines.pop()), json!({"fault": "manifest_missing"})).await;
    export.check(|lines| lines[1] = "{}".into(), json!({"fault": "unreadable", "line": 2})).await;
    // Records and manifest agree, so that only the signature shows it.
    let forge = |lines: &mut Vec<String>| {
        let end = lines.len() - 1;
        lines[end] = lines[end].replace(&format!("\\\"last_seq\\\":{last}"), &format!("\\\"last_seq\\\":{}", last - 1));
        lines.remove(end - 1);
    };
    export.check(forge, json!({"fault": "manifest_forged"})).await;
}

#[tokio::test]
async fn moved_and_slipped_in_records_are_named() {
    let export = AuditExport::create().await;
    let finished = export.verify(&swapped(&export.lines)).await;
    assert_ne!(finished.code, Some(0));
    assert!(finished.stdout.contains("reordered"), "{}", finished.stdout);

    let mut lines = export.lines.clone();
    // The copy has a valid hash: only its position is wrong.
    lines.insert(3, lines[1].clone());
    let finished = export.verify(&lines).await;
    assert_ne!(finished.code, Some(0));
    assert!(finished.stdout.contains("inserted") || finished.stdout.contains("reordered"), "{}", finished.stdout);
}

fn swapped(lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.swap(1, 2);
    lines
}

#[tokio::test]
async fn a_trail_signed_by_another_hive_is_not_ours() {
    let export = AuditExport::create().await;
    let path = export.path.to_str().unwrap();
    let own = export.hive.cli(["-o", "json", "audit", "verify", path]).await.json();
    let key = text(&own["public_key"]);
    export.hive.cli(["audit", "verify", path, "--public-key", key]).await.expect_success();
    // Intact, and signed with another key.
    let other = AuditExport::create().await;
    let finished = other.hive.cli(["audit", "verify", other.path.to_str().unwrap(), "--public-key", key]).await;
    assert_ne!(finished.code, Some(0));
}

/// Changes the database behind the server's back.
async fn sql(hive: &TestHive, statement: &str) {
    if let Some(database) = hive.database() {
        assert_ne!(database.execute(statement).await, 0, "{statement} changed nothing");
        return;
    }
    let database = hive.data_dir().join("hive.db");
    // By another program, as somebody with access to the file would do it.
    let script = "import sqlite3, sys\n\
                  database = sqlite3.connect(sys.argv[1], timeout=10)\n\
                  print(database.execute(sys.argv[2]).rowcount)\n\
                  database.commit()";
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(database).arg(statement);
    let changed = Finished::run(command).await.expect_success();
    assert_ne!(changed.stdout.trim(), "0", "{statement} changed nothing");
}

#[tokio::test]
async fn damage_to_the_database_is_named() {
    let hive = busy_hive().await;
    let verify = async || hive.rest().get("/api/v1/audit/verify").await.data();
    let intact = verify().await;
    assert_eq!((&intact["valid"], &intact["faults"]), (&json!(true), &json!([])));
    assert!(intact["records"].as_u64() > Some(5));

    sql(&hive, "UPDATE audit_log SET record = replace(record, 'success', 'failure') WHERE seq = 2").await;
    let found = verify().await;
    assert_eq!(found["valid"], false);
    assert!(found["faults"].as_array().unwrap().contains(&json!({"fault": "changed", "seq": 2})), "{found}");
    sql(&hive, "DELETE FROM audit_log WHERE seq = 4").await;
    let found = verify().await;
    assert!(
        found["faults"].as_array().unwrap().contains(&json!({"fault": "removed", "first": 4, "last": 4})),
        "{found}"
    );
    let finished = hive.cli(["audit", "verify"]).await;
    assert_ne!(finished.code, Some(0), "the command line says so too");
}
