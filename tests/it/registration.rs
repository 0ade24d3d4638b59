//! How a satellite becomes one: tokens are spent once, names have one owner, keys survive restarts.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hive_core::clock::{Clock, ClockAndRng, ManualClock, SystemClock};
use hive_core::hive::Hive;
use hive_core::wire::api::{RegistrationTokenCreate, TokenScope};
use hive_testkit::{Answer, Finished, SatelliteOptions, ServerOptions, TestHive, binary, procfs, until};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::support::{keys, text};

async fn register(hive: &TestHive, token: &str, name: &str) -> Answer {
    let request = json!({"name": name, "system_info": {"os": "linux", "arch": "x86_64", "memory_mb": 1024}});
    hive.anonymous().bearer(token).post("/api/satellites/register", &request).await
}

/// The satellite of a successful registration.
async fn registered(hive: &TestHive, token: &str, name: &str) -> Value {
    let answer = register(hive, token, name).await;
    assert!(answer.is_success(), "{}", answer.text());
    answer.json()["satellite"].take()
}

async fn heartbeat(hive: &TestHive, satellite: &Value) -> u16 {
    let path = format!("/api/satellites/{}/heartbeat", text(&satellite["id"]));
    let caller = hive.anonymous().bearer(text(&satellite["api_key"]));
    caller.post(&path, &json!({"status": "active"})).await.status
}

async fn satellites(hive: &TestHive) -> Vec<Value> {
    let list = hive.rest().get("/api/v1/satellites?per_page=1000").await.data();
    list.as_array().expect("a list").clone()
}

#[tokio::test]
async fn one_token_registers_one_satellite() {
    let hive = Arc::new(TestHive::start().await);
    let token = hive.new_token(None).await;
    let mut calls = JoinSet::new();
    // At once, so that the race for the token has many runners.
    for number in 0..100 {
        let (hive, token) = (hive.clone(), token.clone());
        calls.spawn(async move { register(&hive, &token, &format!("satellite-{number:03}")).await });
    }
    let answers = calls.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Answer::is_success);
    assert_eq!(won.len(), 1);
    for answer in &lost {
        assert_eq!(answer.json()["error"], "registration_token_used", "{}", answer.text());
    }
    assert_eq!(satellites(&hive).await.len(), 1);
    let tokens = hive.rest().get("/api/v1/registration-tokens").await.data();
    assert!(tokens[0]["used_at"].is_string());
}

#[tokio::test]
async fn type_and_team_come_from_the_token_alone() {
    let hive = TestHive::start().await;
    let team = hive.new_team("ops").await;
    let token = hive.new_token(Some(&team)).await;
    assert!(token.starts_with("hive_satellite_team_"));
    let request = json!({"name": "satellite-01", "satellite_type": "global", "team_id": null, "status": "active"});
    let answer = hive.anonymous().bearer(&token).post("/api/satellites/register", &request).await.json();
    let satellite = &answer["satellite"];
    assert_eq!(satellite["satellite_type"], "team");
    assert_eq!(satellite["team_id"], *team);
    assert_eq!(satellite["status"], "inactive");
    assert!(text(&satellite["api_key"]).starts_with("hive_satellite_api_team_"));
}

#[tokio::test]
async fn the_name_of_another_team_is_refused_and_the_token_kept() {
    let hive = TestHive::start().await;
    let (ops, dev) = (hive.new_team("ops").await, hive.new_team("dev").await);
    let first = registered(&hive, &hive.new_token(Some(&ops)).await, "satellite-01").await;
    let token = hive.new_token(Some(&dev)).await;
    for taken in [token.as_str(), &hive.new_token(None).await] {
        let refused = register(&hive, taken, "satellite-01").await;
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert!(!refused.text().contains("ops"), "the other team is not named: {}", refused.text());
    }
    registered(&hive, &token, "satellite-02").await;
    assert_eq!(heartbeat(&hive, &first).await, 200, "the first one still has its key");
}

#[tokio::test]
async fn registering_again_keeps_the_id_and_kills_the_old_key() {
    let hive = TestHive::start().await;
    let first = registered(&hive, &hive.new_token(None).await, "satellite-01").await;
    assert_eq!(heartbeat(&hive, &first).await, 200);
    let refused = register(&hive, &hive.new_token(None).await, "satellite-01").await;
    assert_eq!(refused.status, 409, "it was here a moment ago: {}", refused.text());
    assert!(refused.text().contains("hive tokens create --for"), "{}", refused.text());
    let again = registered(&hive, &hive.new_token_for(text(&first["id"])).await, "satellite-01").await;
    assert_eq!(again["id"], first["id"]);
    assert_eq!(again["status"], "inactive");
    assert_ne!(again["api_key"], first["api_key"]);
    assert_eq!(heartbeat(&hive, &first).await, 401, "the old key is dead at once");
    assert_eq!(heartbeat(&hive, &again).await, 200);
    assert_eq!(satellites(&hive).await.len(), 1);
}

#[tokio::test]
async fn a_restart_needs_no_token() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("satellite-01").await;
    let key_file = satellite.data_dir().join("backend.key.json");
    let mode = std::fs::metadata(&key_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stored: Value = serde_json::from_slice(&std::fs::read(&key_file).unwrap()).unwrap();
    assert_eq!(
        keys(&stored),
        BTreeSet::from([
            "api_key",
            "satellite_id",
            "satellite_name",
            "registered_at",
            "last_verified",
            "hive_id",
            "keys",
            "checksum"
        ])
    );

    satellite.process().stop().await;
    satellite.restart().await;
    satellite.process().kill();
    satellite.restart().await;
    assert_eq!(hive.exec(&satellite, "echo again").await["stdout"], "again\n");
    let again: Value = serde_json::from_slice(&std::fs::read(&key_file).unwrap()).unwrap();
    assert_eq!(again["api_key"], stored["api_key"]);
    assert!(again["last_verified"].is_string(), "a start verifies the stored key");
}

/// An agent that is expected to give up.
struct Attempt<'a> {
    server: &'a str,
    token: Option<&'a str>,
    name: &'a str,
    data_dir: &'a Path,
    locale: &'a str,
}

impl Attempt<'_> {
    async fn run(&self) -> Finished {
        let mut command = Command::new(binary("satellite-agent"));
        command.env_clear().env("LANG", self.locale).args(["--server", self.server, "--name", self.name, "--data-dir"]);
        command.arg(self.data_dir);
        if let Some(token) = self.token {
            command.args(["--registration-token", token]);
        }
        Finished::run(command).await
    }
}

/// A token that was made so long ago that it has expired.
async fn expired_token(hive: &TestHive) -> String {
    // Made by a second hive on the same data, whose clock is two hours behind. No test waits for an hour.
    let long_ago = SystemClock.now().minus(Duration::from_hours(2));
    let source = ClockAndRng { clock: Arc::new(ManualClock::at(long_ago)), ..ClockAndRng::default() };
    let mut before = Hive::builder().data_dir(hive.data_dir()).source(source);
    if let Some(database) = hive.database() {
        before = before.database(database.url().parse().unwrap());
    }
    let before = before.build().await.unwrap();
    let wanted = RegistrationTokenCreate {
        scope: TokenScope::Global,
        team_id: None,
        expires_in_hours: Some(1),
        description: None,
        ..RegistrationTokenCreate::global()
    };
    let token = before.as_system().identity().registration_token_create(wanted).await.unwrap().token;
    before.shutdown().await;
    token
}

async fn revoked_token(hive: &TestHive) -> String {
    let created = hive.rest().post("/api/v1/registration-tokens", &json!({"scope": "global"})).await.data();
    let path = format!("/api/v1/registration-tokens/{}", text(&created["token_id"]));
    assert!(hive.rest().delete(&path).await.is_success());
    text(&created["token"]).to_owned()
}

async fn used_token(hive: &TestHive) -> String {
    let token = hive.new_token(None).await;
    registered(hive, &token, "satellite-00").await;
    token
}

/// A token whose signature is another hive's.
async fn foreign_token() -> String {
    TestHive::start().await.new_token(None).await
}

#[tokio::test]
async fn every_reason_to_give_up_has_its_own_words() {
    let hive = TestHive::start().await;
    let unspent = hive.new_token(None).await;
    let (expired, used, revoked) = (expired_token(&hive).await, used_token(&hive).await, revoked_token(&hive).await);
    let foreign = foreign_token().await;
    let good_dir = hive.dir().join("fresh");
    // Root may write everywhere, but nobody may make a folder below a file.
    std::fs::write(hive.dir().join("file"), "").unwrap();
    let bad_dir = hive.dir().join("file").join("below");

    let cases = [
        (None, &good_dir, "--registration-token"),
        (Some("hive_satellite_global_not.a-jwt"), &good_dir, "oken"),
        (Some(expired.as_str()), &good_dir, "expired"),
        (Some(used.as_str()), &good_dir, "used"),
        (Some(revoked.as_str()), &good_dir, "revoked"),
        (Some(foreign.as_str()), &good_dir, "oken"),
        (Some(unspent.as_str()), &bad_dir, "--data-dir"),
    ];
    let mut messages = Vec::new();
    for (token, data_dir, expected) in cases {
        let attempt = Attempt { server: hive.url(), token, name: "satellite-01", data_dir, locale: "C.UTF-8" };
        let finished = attempt.run().await;
        assert!(finished.code.is_some_and(|code| code != 0), "{token:?} did not fail");
        assert_eq!(finished.stdout, "");
        assert!(finished.stderr.contains(expected), "{expected:?} is not in: {}", finished.stderr);
        assert!(token.is_none_or(|token| !finished.stderr.contains(token)), "the token is shown");
        messages.push(finished.stderr);
    }
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), 7, "two reasons read the same: {messages:#?}");
    registered(&hive, &unspent, "satellite-01").await;
}

#[tokio::test]
async fn a_token_comes_by_standard_input_and_nobody_sees_it() {
    let hive = TestHive::start().await;
    let token = hive.new_token(None).await;
    let input = hive.dir().join("input");
    std::fs::write(&input, format!("{token}\n")).unwrap();
    // `Process` gives no standard input. The shell provides a pipe.
    let mut command = std::process::Command::new("/bin/sh");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["-c", "cat \"$0\" | \"$@\""]).arg(input).arg(binary("satellite-agent"));
    command.args(["--server", hive.url(), "--name", "satellite-01", "--registration-token-file", "-"]);
    command.arg("--data-dir").arg(hive.dir().join("satellite-01"));
    let mut agent = hive_testkit::Process::spawn("satellite-01", command, &hive.dir().join("logs"));
    agent.event("online").await;
    // Arguments are readable by everybody on the machine.
    assert_eq!(procfs::running_with(&token).len(), 0, "it is in the list of processes");
    assert!(!agent.log().contains(&token) && !agent.log().contains("list of processes"), "{}", agent.log());
}

#[tokio::test]
async fn an_unreachable_server_is_named_and_tried_again() {
    let mut hive = TestHive::start().await;
    let token = hive.new_token(None).await;
    hive.kill_server();
    let logs = hive.dir().join("logs");
    let mut command = std::process::Command::new(binary("satellite-agent"));
    command.env_clear().args(["--server", hive.url(), "--name", "satellite-01", "--registration-token", &token]);
    command.arg("--data-dir").arg(hive.dir().join("satellite-01"));
    let mut agent = hive_testkit::Process::spawn("satellite-01", command, &logs);
    until("the agent names the server", async || agent.log().contains(hive.url())).await;
    assert_eq!(agent.try_code(), None, "it goes on trying");
    hive.restart_server().await;
    agent.event("online").await;
}

#[tokio::test]
async fn a_bad_name_is_refused_before_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let long = "a".repeat(33);
    let cases = [
        ("short", "\"short\"", "5"),
        (&long, &*long, "33"),
        ("Web-Server-01", "'W'", "13"),
        ("web server 01", "' '", "13"),
        ("web-server-ä1", "'ä'", "13"),
    ];
    for (name, said, length) in cases {
        for (locale, rule) in [("en_US.UTF-8", "must have"), ("de_DE.UTF-8", "Satellitenname")] {
            // Nothing listens there, and no token is given: the name is looked at first.
            let attempt = Attempt { server: "http://127.0.0.1:9", token: None, name, data_dir: &data_dir, locale };
            let finished = attempt.run().await;
            assert_eq!(finished.code, Some(2), "{name:?}: {}", finished.stderr);
            let is_german = finished.stderr.contains("Satellitenname");
            assert_eq!(is_german, rule == "Satellitenname", "{name:?} in {locale}: {}", finished.stderr);
            for part in [said, length, "10", "32"] {
                assert!(finished.stderr.contains(part), "{part:?} is not in: {}", finished.stderr);
            }
        }
    }
    assert!(!data_dir.exists(), "a refused name leaves nothing behind");
}

#[tokio::test]
async fn where_admins_activate_a_heartbeat_does_not() {
    let args = ["--activation", "manual"].map(String::from).to_vec();
    let hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let satellite = registered(&hive, &hive.new_token(None).await, "satellite-01").await;
    assert_eq!(heartbeat(&hive, &satellite).await, 200);
    let path = format!("/api/v1/satellites/{}", text(&satellite["id"]));
    assert_eq!(hive.rest().get(&path).await.data()["status"], "inactive");
    let exec = hive.rest().post(&format!("{path}/exec"), &json!({"command": "true"})).await;
    assert_eq!(exec.refusal(), (409, "SATELLITE_INACTIVE".into()));
    hive.rest().put(&path, &json!({"status": "active"})).await.data();
    assert_eq!(hive.rest().get(&path).await.data()["status"], "active");
}

#[tokio::test]
async fn a_removed_satellite_is_gone_and_its_name_is_free() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("satellite-01").await;
    assert!(hive.rest().delete(&satellite.path("")).await.is_success());
    assert_eq!(hive.rest().get(&satellite.path("")).await.refusal(), (404, "SATELLITE_NOT_FOUND".into()));
    let says_why = async || satellite.process().log().contains("the hive knows none of the keys that are stored here");
    until("the satellite says that its key is dead", says_why).await;

    let id = satellite.id().to_owned();
    drop(satellite);
    let token = hive.new_token(None).await;
    let again = hive.satellite_with_token("satellite-01", &token, SatelliteOptions::default()).await;
    assert_ne!(again.id(), id, "it is another satellite");
}
