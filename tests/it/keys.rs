//! A satellite's key is never lost: not to a proxy, not to another hive, not to a restored one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hive_agent::{Agent, AgentConfig};
use hive_test_peers::FakeHive;
use hive_testkit::{SatelliteOptions, TestHive, TestSatellite, until};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::support::text;

/// Satellites that know the hive by the address of this proxy.
fn options(gate: &FakeHive) -> SatelliteOptions {
    let mut options = SatelliteOptions { server: Some(gate.url()), ..Default::default() };
    options.args(["--reconnect-max", "0.2"]);
    options
}

/// Answers as a proxy that wants a login of its own: without the id of a hive.
fn answer_401(gate: &FakeHive) {
    let answer =
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\ncontent-length: 6\r\nconnection: close\r\n\r\nlog in";
    gate.answer_with(|_| answer.into());
}

fn stored(data_dir: &Path) -> Value {
    let file = std::fs::read(data_dir.join("backend.key.json")).unwrap_or_default();
    serde_json::from_slice(&file).unwrap_or_default()
}

async fn until_said(satellite: &mut TestSatellite, words: &str) {
    until(&format!("the agent says {words:?}"), async || satellite.process().log().contains(words)).await;
}

#[tokio::test]
async fn a_proxy_that_answers_401_costs_no_key() {
    let hive = TestHive::start().await;
    // The address stays the same, and what is behind it changes.
    let gate = FakeHive::in_front_of(hive.url()).await;
    let mut satellite = hive.satellite_with("web-server-01", options(&gate)).await;
    let before = stored(satellite.data_dir());
    assert!(before["hive_id"].is_string() && before["keys"].as_array().unwrap().len() == 1, "{before}");
    satellite.process().stop().await;
    answer_401(&gate);
    satellite.start_again();
    until_said(&mut satellite, "answers 401, but not as a hive").await;
    assert_eq!(stored(satellite.data_dir()), before);
    gate.lead_to(hive.url());
    satellite.process().event("online").await;
    // The same while it runs.
    answer_401(&gate);
    let mut hive = hive;
    hive.kill_server();
    let mut count = async || satellite.process().log().matches("answers 401, but not as a hive").count();
    let said = count().await;
    until("the agent says it again", async || count().await > said).await;
    hive.restart_server().await;
    gate.lead_to(hive.url());
    hive.until_online(&satellite, true).await;
    assert_eq!(stored(satellite.data_dir())["api_key"], before["api_key"]);
}

#[tokio::test]
async fn another_hive_at_the_address_costs_no_key() {
    let (mut hive, other) = (TestHive::start().await, TestHive::start().await);
    let gate = FakeHive::in_front_of(hive.url()).await;
    let mut satellite = hive.satellite_with("web-server-01", options(&gate)).await;
    let key = satellite.api_key();
    gate.lead_to(other.url());
    hive.kill_server();
    until_said(&mut satellite, "is another hive").await;
    satellite.process().stop().await;
    satellite.start_again();
    until_said(&mut satellite, "is another hive").await;
    assert_eq!(satellite.api_key(), key);
    assert!(!satellite.data_dir().join("backend.key.rejected.json").exists());
    assert_eq!(other.rest().get("/api/v1/satellites").await.data().as_array().map(Vec::len), Some(0));
    hive.restart_server().await;
    gate.lead_to(hive.url());
    satellite.process().event("online").await;
}

/// Agents in this process.
struct KeyFleet {
    dirs: Vec<PathBuf>,
    names: Vec<String>,
    _stop: DropGuard,
}

impl KeyFleet {
    async fn start(hive: &TestHive, count: usize) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (mut dirs, mut names) = (Vec::new(), Vec::new());
        for number in 0..count {
            let name = format!("satellite-{number:03}");
            let dir = hive.dir().join(&name);
            let mut config = AgentConfig::new(hive.url().parse().unwrap(), name.clone().try_into().unwrap(), &dir);
            config.registration_token = Some(hive.new_token(None).await.into());
            // A hundred agents in one process: their status pages would need a port each.
            config.local_api = None;
            config.reconnect.max = Duration::from_secs(5);
            let shutdown = stop.clone();
            tasks.spawn(async move { Agent::connect(config).await?.run(shutdown).await });
            dirs.push(dir);
            names.push(name);
        }
        Self { dirs, names, _stop: stop.drop_guard() }
    }

    /// Waits until each has so many proved keys, and is online.
    async fn until_keys(&self, hive: &TestHive, count: usize) {
        let has_keys = |dir: &PathBuf| {
            let file = stored(dir);
            file["keys"].as_array().map(Vec::len) == Some(count) && file.get("candidate").is_none()
        };
        until(&format!("each has {count} keys"), async || self.dirs.iter().all(has_keys)).await;
        self.until_online(hive).await;
    }

    async fn until_online(&self, hive: &TestHive) {
        let expected: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
        until("all are online", async || {
            let list = hive.rest().get("/api/v1/satellites?per_page=1000").await.data();
            let online = list.as_array().unwrap().iter().filter(|satellite| satellite["online"] == true);
            online.map(|satellite| text(&satellite["name"])).collect::<BTreeSet<_>>() == expected
        })
        .await;
    }
}

/// Gives all satellites to a team, which gives each a new key.
async fn give_all_to(hive: &TestHive, team: &str) {
    let list = hive.rest().get("/api/v1/satellites?per_page=1000").await.data();
    for satellite in list.as_array().unwrap() {
        let path = format!("/api/v1/satellites/{}", text(&satellite["id"]));
        hive.rest().put(&path, &json!({"team_id": team})).await.data();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_comes_back_to_a_hive_restored_from_before_two_key_changes() {
    let mut hive = TestHive::start().await;
    let (ops, dev) = (hive.new_team("ops").await, hive.new_team("dev").await);
    let fleet = KeyFleet::start(&hive, 100).await;
    fleet.until_keys(&hive, 1).await;
    let backup = hive.dir().join("early.backup");
    hive.server_command(&["backup", "--output", backup.to_str().unwrap()]).await;
    // Each change of the team gives each satellite a new key, after the backup.
    for (team, keys) in [(&ops, 2), (&dev, 3)] {
        give_all_to(&hive, team).await;
        fleet.until_keys(&hive, keys).await;
    }
    hive.kill_server();
    hive.restore_server(&backup, None).await;
    let begun = tokio::time::Instant::now();
    fleet.until_online(&hive).await;
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    for dir in &fleet.dirs {
        let file = stored(dir);
        assert_eq!(file["api_key"], file["keys"][0]["api_key"]);
        assert_eq!(file["keys"].as_array().map(Vec::len), Some(3), "the newer ones are kept");
        assert!(!dir.join("backend.key.rejected.json").exists());
    }
}

#[tokio::test]
async fn rejected_keys_are_set_aside_and_a_token_brings_the_satellite_back() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("satellite-01").await;
    let key = satellite.api_key();
    assert!(hive.rest().delete(&satellite.path("")).await.is_success());
    until_said(&mut satellite, "knows none of the keys").await;
    assert_eq!(satellite.process().try_code(), None, "it goes on trying");
    let rejected = satellite.data_dir().join("backend.key.rejected.json");
    assert!(std::fs::read_to_string(&rejected).unwrap().contains(&key));
    assert!(!satellite.data_dir().join("backend.key.json").exists());
    satellite.process().stop().await;
    let token = hive.dir().join("token");
    std::fs::write(&token, format!("{}\n", hive.new_token(None).await)).unwrap();
    satellite.options().args(["--registration-token-file", token.to_str().unwrap()]);
    satellite.start_again();
    satellite.process().event("online").await;
    assert_ne!(satellite.api_key(), key);
    assert!(rejected.exists());
}

#[tokio::test]
async fn a_hive_says_why_it_does_not_accept_a_key() {
    let (hive, other) = (TestHive::start().await, TestHive::start().await);
    let registered = async |hive: &TestHive, token: String| {
        let answer =
            hive.anonymous().bearer(&token).post("/api/satellites/register", &json!({"name": "satellite-01"})).await;
        assert!(answer.is_success(), "{}", answer.text());
        answer.json()
    };
    let (first, elsewhere) =
        (registered(&hive, hive.new_token(None).await).await, registered(&other, other.new_token(None).await).await);
    let id = text(&first["satellite"]["id"]);
    let second = registered(&hive, hive.new_token_for(id).await).await;
    assert_eq!(second["hive_id"], first["hive_id"]);
    let path = format!("/api/satellites/{}/heartbeat", text(&first["satellite"]["id"]));
    let check = async |key: &str, named: Option<&Value>, class: Option<&str>| {
        let mut caller = hive.anonymous();
        if !key.is_empty() {
            caller = caller.bearer(key);
        }
        if let Some(named) = named {
            caller = caller.with("x-hive-id", text(named));
        }
        let answer = caller.post(&path, &json!({})).await;
        let Some(class) = class else {
            assert!(answer.is_success(), "{}", answer.text());
            return;
        };
        let said = answer.json();
        assert_eq!((answer.status, &said["hive_id"]), (401, &first["hive_id"]), "{said}");
        assert_eq!(said["class"].as_str().unwrap_or_default(), class, "{said}");
        let expected = if class.is_empty() { "auth_required" } else { "auth_invalid" };
        assert_eq!(said["error"], expected, "{said}");
    };
    let (old, new) = (text(&first["satellite"]["api_key"]), text(&second["satellite"]["api_key"]));
    let foreign = text(&elsewhere["satellite"]["api_key"]);
    check(new, None, None).await;
    check(new, Some(&first["hive_id"]), None).await;
    check(new, Some(&json!("nonsense")), None).await;
    check(old, Some(&first["hive_id"]), Some("superseded")).await;
    check(foreign, Some(&first["hive_id"]), Some("unknown_key")).await;
    check("nonsense", None, Some("unknown_key")).await;
    check(new, Some(&elsewhere["hive_id"]), Some("other_hive")).await;
    check("", None, Some("")).await;
    let refused = hive
        .anonymous()
        .bearer("hive_satellite_global_a.b.c")
        .post("/api/satellites/register", &json!({"name": "satellite-02"}))
        .await;
    assert_eq!((refused.status, &refused.json()["hive_id"]), (401, &first["hive_id"]), "{}", refused.text());
    let token = hive.new_token(None).await;
    let elsewhere = hive.anonymous().bearer(&token).with("x-hive-id", text(&elsewhere["hive_id"]));
    let refused = elsewhere.post("/api/satellites/register", &json!({"name": "satellite-02"})).await;
    assert_eq!((refused.status, text(&refused.json()["class"])), (401, "other_hive"));
    let answer =
        hive.anonymous().bearer(&token).post("/api/satellites/register", &json!({"name": "satellite-02"})).await;
    assert!(answer.is_success(), "the token was not spent: {}", answer.text());
}

#[tokio::test]
async fn a_new_hive_says_so_once_and_one_without_its_keys_does_not_start() {
    let mut hive = TestHive::start_empty().await;
    let count = |hive: &mut TestHive| hive.server().log().matches("this is a new hive").count();
    assert_eq!(count(&mut hive), 1);
    hive.kill_server();
    hive.restart_server().await;
    assert_eq!(count(&mut hive), 1, "{}", hive.server().log());
    hive.kill_server();
    let (keys, aside) = (hive.data_dir().join("keys"), hive.dir().join("keys-aside"));
    std::fs::rename(&keys, &aside).unwrap();
    let (code, said) = hive.refused_server().await;
    assert_eq!(code, 1, "{said}");
    for name in ["vault.json", "token.key", "audit.key"] {
        assert!(said.contains(&keys.join(name).display().to_string()), "{said}");
    }
    assert!(said.contains("hive-server accept-keys"), "{said}");
    std::fs::rename(&aside, &keys).unwrap();
    std::fs::remove_file(keys.join("token.key")).unwrap();
    hive.server_command(&["accept-keys"]).await;
    hive.restart_server().await;
    hive.rest().get("/api/v1/auth/me").await.data();
}
