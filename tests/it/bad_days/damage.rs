//! Files that are not what was written: a clear refusal or a recovery, never silence.

use std::path::{Path, PathBuf};

use hive_testkit::{Finished, TestHive, TestSatellite, binary, until};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Runs, expect_whole_trail, flip, flip_all};
use crate::support::text;

/// Checks that the server does not start on its data, and says which file it is about.
async fn expect_refusal(hive: &TestHive, file: &Path) {
    let (code, said) = hive.refused_server().await;
    assert_eq!(code, 1, "{said}");
    let names_it = said.contains(&file.display().to_string());
    assert!(said.contains("damaged") && said.contains("backup") && names_it, "{}: {said}", file.display());
}

fn len(path: &Path) -> usize {
    std::fs::metadata(path).unwrap().len() as usize
}

/// A hive with as many commands behind it, and what they left.
async fn used(commands: u32) -> (TestHive, TestSatellite, Vec<String>) {
    let hive = TestHive::start_on_sqlite().await;
    let satellite = hive.satellite("web-server-01").await;
    let runs = Runs::of(&hive);
    let mut ids = Vec::new();
    for number in 0..commands {
        let result = hive.rest().post(&satellite.path("/exec"), &runs.command(number)).await.data();
        ids.push(text(&result["command_id"]).to_owned());
    }
    (hive, satellite, ids)
}

/// Ends the server, and puts everything that its database's log holds into the database itself, which is returned.
async fn stopped(hive: &mut TestHive) -> PathBuf {
    hive.server().stop().await;
    let path = hive.data_dir().join("hive.db");
    run_on(&path, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    path
}

/// Runs statements on a database behind its server's back.
async fn run_on(database: &Path, statements: &str) {
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(database).arg(statements);
    Finished::run(command).await.expect_success();
}

#[tokio::test]
async fn a_server_does_not_start_on_keys_that_were_changed() {
    let mut hive = TestHive::start().await;
    hive.server().stop().await;
    for name in ["vault.json", "token.key", "audit.key"] {
        let path = hive.data_dir().join("keys").join(name);
        let good = std::fs::read(&path).unwrap();
        flip(&path, good.len() / 4);
        expect_refusal(&hive, &path).await;
        std::fs::write(&path, good).unwrap();
    }
    hive.restart_server().await;
}

#[tokio::test]
async fn a_server_does_not_start_on_tables_that_do_not_hang_together() {
    let (mut hive, _satellite, ids) = used(20).await;
    let path = stopped(&mut hive).await;
    let good = std::fs::read(&path).unwrap();
    // The magic word, and the heads of pages in between.
    let pages = (1..8).map(|eighth| good.len() / 4096 * eighth / 8 * 4096);
    // One after the other: each damage has to be found by itself.
    for place in std::iter::once(3).chain(pages) {
        flip(&path, place);
        expect_refusal(&hive, &path).await;
        std::fs::write(&path, &good).unwrap();
    }
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    expect_refusal(&hive, &path).await;
    std::fs::write(&path, &good).unwrap();
    hive.restart_server().await;
    assert_eq!(hive.command(&ids[0]).await["status"], "succeeded");
}

/// Kills the server and gives the log of its database.
fn log_of_killed(hive: &mut TestHive) -> PathBuf {
    hive.kill_server();
    let log = hive.data_dir().join("hive.db-wal");
    assert!(len(&log) > 100_000, "everything stands in the log still");
    log
}

#[tokio::test]
async fn a_log_with_damage_in_the_middle_is_refused_and_not_cut_short() {
    let (mut hive, satellite, ids) = used(20).await;
    let log = log_of_killed(&mut hive);
    let good = std::fs::read(&log).unwrap();
    // Its head, and places within frames.
    for place in [12, good.len() / 10, good.len() / 3, good.len() / 2] {
        flip(&log, place);
        expect_refusal(&hive, &log).await;
        std::fs::write(&log, &good).unwrap();
    }
    hive.restart_server().await;
    for id in &ids {
        assert_eq!(hive.command(id).await["status"], "succeeded");
    }
    hive.until_online(&satellite, true).await;
    expect_whole_trail(&hive).await;
}

#[tokio::test]
async fn a_log_that_ends_too_early_is_recovered_and_told() {
    let (mut hive, satellite, ids) = used(20).await;
    let log = log_of_killed(&mut hive);
    let file = std::fs::File::options().write(true).open(&log).unwrap();
    // In the middle of a frame, as after a write that a power failure cut off.
    file.set_len(len(&log) as u64 * 2 / 3 + 100).unwrap();
    // Whether anybody knows what is missing is a matter of seconds.
    std::fs::remove_file(hive.data_dir().join("audit.head")).unwrap();
    hive.restart_server().await;
    let said = hive.server().log();
    assert!(said.contains("ends within a transaction") && said.contains(&log.display().to_string()), "{said}");
    assert_eq!(hive.command(&ids[0]).await["status"], "succeeded");
    hive.until_online(&satellite, true).await;
    assert_eq!(hive.exec(&satellite, "echo on").await["stdout"], "on\n");
    expect_whole_trail(&hive).await;
}

#[tokio::test]
async fn a_database_that_has_lost_its_newest_changes_is_refused() {
    let (mut hive, _satellite, ids) = used(3).await;
    let mark = hive.data_dir().join("audit.head");
    let audit_log = hive.rest().get("/api/v1/audit/verify").await.data();
    let marked = || -> Value { serde_json::from_slice(&std::fs::read(&mark).unwrap_or_default()).unwrap_or_default() };
    until("the end of the log is marked", async || marked()["seq"] == audit_log["records"]).await;
    let log = log_of_killed(&mut hive);
    let database = hive.data_dir().join("hive.db");
    // Kept, to show that the same data is accepted once it is whole again.
    let good = [&database, &log].map(|path| (path.clone(), std::fs::read(path).unwrap()));
    std::fs::remove_file(&log).unwrap();
    expect_refusal(&hive, &mark).await;
    for (path, content) in good {
        std::fs::write(path, content).unwrap();
    }
    hive.restart_server().await;
    for id in &ids {
        assert_eq!(hive.command(id).await["status"], "succeeded");
    }
    hive.kill_server();
    std::fs::remove_file(&log).unwrap();
    std::fs::remove_file(&mark).unwrap();
    hive.restart_server().await;
    assert_eq!(hive.anonymous().get("/health").await.status, 200, "who accepts the loss goes on");
}

#[tokio::test]
async fn a_command_that_was_changed_on_the_disk_is_not_run() {
    let (mut hive, mut satellite, _) = used(1).await;
    satellite.process().stop().await;
    hive.until_online(&satellite, false).await;
    let id = hive.submit(&satellite, &json!({"command": "echo precious >> runs; : marked-on-the-disk"})).await;
    let path = stopped(&mut hive).await;
    let places = flip_all(&path, "marked-on-the-disk");
    assert!(places >= 2, "the command and its record are found: {places}");
    hive.restart_server().await;
    satellite.restart().await;
    hive.until_status(&id, "outcome_unknown").await;
    assert!(hive.server().log().contains("stored command cannot be read"), "{}", hive.server().log());
    let audit_log = hive.rest().get("/api/v1/audit/verify").await.data();
    assert_eq!(audit_log["valid"], false, "the log shows it too: {audit_log}");
    let (is_sound, said) = check(&hive).await;
    assert!(!is_sound && said["audit"]["valid"] == false && said["database"]["faults"] == json!([]), "{said}");
}

/// Runs `hive-server check`.
async fn run_check(data_dir: &Path) -> Finished {
    let mut command = Command::new(binary("hive-server"));
    command.env_clear().arg("check").arg("--data-dir").arg(data_dir);
    Finished::run(command).await
}

/// What `hive-server check` says.
async fn check(hive: &TestHive) -> (bool, Value) {
    let finished = run_check(&hive.data_dir()).await;
    let said = finished.json();
    assert_eq!(finished.code == Some(0), said["sound"] == true, "{said}");
    (finished.code == Some(0), said)
}

#[tokio::test]
async fn a_hive_can_be_looked_through_while_it_runs() {
    let (mut hive, _satellite, _) = used(5).await;
    let (is_sound, said) = check(&hive).await;
    assert!(is_sound && said["audit"]["records"].as_u64() > Some(10), "{said}");
    // Commands of a satellite that is not there: SQLite does not mind.
    let path = stopped(&mut hive).await;
    run_on(&path, "PRAGMA foreign_keys = OFF; DELETE FROM satellites").await;
    let (is_sound, said) = check(&hive).await;
    assert!(!is_sound && said["database"]["faults"] != json!([]), "{said}");
}

#[tokio::test]
async fn a_hive_that_is_not_there_is_not_sound() {
    let dir = tempfile::tempdir().unwrap();
    let mistyped = dir.path().join("hvie-data");
    let finished = run_check(&mistyped).await;
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""));
    assert!(
        finished.stderr.contains("there is no hive") && finished.stderr.contains("hvie-data"),
        "{}",
        finished.stderr
    );
    assert!(!mistyped.exists(), "nor is one made");
}

#[tokio::test]
async fn a_journal_that_was_changed_makes_nothing_run_again() {
    let (hive, mut satellite, _) = used(3).await;
    let runs = hive.dir().join("again");
    let gate = hive.dir().join("gate");
    let line = format!("echo run >> {}; until test -e {}; do sleep 0.01; done", runs.display(), gate.display());
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    until("it runs", async || runs.exists()).await;
    satellite.process().kill();
    // As if it were another command that was started: only the checksum knows better.
    let journal = satellite.data_dir().join("journal.jsonl");
    assert!(flip_all(&journal, &id[id.len() - 4..]) >= 1);
    satellite.restart().await;
    assert!(satellite.process().log().contains("the journal is damaged; it is set aside"));
    assert!(journal.with_extension("broken").exists());
    hive.until_status(&id, "outcome_unknown").await;
    std::fs::write(gate, "").unwrap();
    assert_eq!(hive.exec(&satellite, "echo on").await["stdout"], "on\n");
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
}

#[tokio::test]
async fn a_journal_whose_last_line_is_torn_goes_on() {
    let (hive, mut satellite, _) = used(3).await;
    satellite.process().kill();
    let journal = satellite.data_dir().join("journal.jsonl");
    let mut content = std::fs::read(&journal).unwrap();
    // What a power failure in the middle of an append leaves.
    content.extend_from_slice(b"{\"record\":\"started\",\"id\":\"cmd_");
    std::fs::write(&journal, content).unwrap();
    satellite.restart().await;
    assert!(!satellite.process().log().contains("set aside"), "{}", satellite.process().log());
    assert_eq!(hive.exec(&satellite, "echo on").await["stdout"], "on\n");
}

#[tokio::test]
async fn a_satellite_does_not_use_a_key_that_was_changed() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    satellite.process().stop().await;
    let path = satellite.data_dir().join("backend.key.json");
    let good = std::fs::read(&path).unwrap();
    let key = satellite.api_key();
    assert_eq!(flip_all(&path, &key[key.len() - 10..]), 2, "as the key in use, and among those that were accepted");
    satellite.start_again();
    satellite.process().exited().await;
    let (code, said) = (satellite.process().try_code(), satellite.process().log());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&path.display().to_string()) && said.contains("Repair it"), "{said}");
    assert!(path.exists(), "it is not thrown away");
    std::fs::write(&path, good).unwrap();
    satellite.restart().await;
}
