//! What a satellite is given beyond what it can take waits, in the order of its priority, and is never refused afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use hive_testkit::{Rest, SatelliteOptions, Signal, TestHive, TestSatellite};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::text;

/// Commands of each of two callers; `HIVE_QUEUED_COMMANDS` asks for more.
fn commands() -> usize {
    std::env::var("HIVE_QUEUED_COMMANDS").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

/// Programs that run at the same time, half of them immediate ones alone.
const PLACES: usize = 8;

async fn start() -> (TestHive, TestSatellite) {
    let hive = TestHive::start().await;
    let mut options = SatelliteOptions::default();
    options.args(["--max-running", "8"]);
    let satellite = hive.satellite_with("web-server-01", options).await;
    (hive, satellite)
}

async fn caller(hive: &TestHive, username: &str) -> Rest {
    hive.server_command(&["admin", "create", "--username", username]).await;
    hive.anonymous().bearer(&hive.new_api_key(username).await)
}

/// Hands in commands one after the other on three connections.
async fn hand_in(rest: &Rest, satellite: &TestSatellite, count: usize) -> Vec<String> {
    let mut connections = JoinSet::new();
    for connection in 0..3 {
        let (rest, path) = (rest.clone(), satellite.path("/exec?wait=false"));
        let count = count / 3 + usize::from(connection < count % 3);
        connections.spawn(async move {
            let command = json!({"command": "echo $HIVE_COMMAND_ID >> runs", "expires_in_seconds": 3600});
            let mut ids = Vec::with_capacity(count);
            for _ in 0..count {
                ids.push(text(&rest.post(&path, &command).await.data()["command_id"]).to_owned());
            }
            ids
        });
    }
    connections.join_all().await.into_iter().flatten().collect()
}

#[tokio::test]
async fn commands_given_at_speed_all_run_once_and_an_immediate_one_overtakes_them() {
    let (hive, satellite) = start().await;
    let (first, second) = (caller(&hive, "first").await, caller(&hive, "second").await);
    let mut blockers = Vec::new();
    // The other half of the places is reserved for immediate commands.
    for _ in 0..PLACES / 2 {
        blockers.push(hive.submit(&satellite, &json!({"command": "sleep 3600"})).await);
    }
    let (one, two) = tokio::join!(hand_in(&first, &satellite, commands()), hand_in(&second, &satellite, commands()));
    let ids: Vec<String> = one.into_iter().chain(two).collect();

    assert_eq!(hive.exec(&satellite, "true").await["status"], "succeeded");
    assert_eq!(hive.command(&ids[0]).await["status"], "queued");

    for blocker in &blockers {
        hive.rest().post(&format!("/api/v1/commands/{blocker}/cancel"), &json!({})).await.data();
    }
    for id in &ids {
        assert_eq!(hive.until_ended(id).await["status"], "succeeded");
    }
    let runs = std::fs::read_to_string(hive.home().join("runs")).unwrap();
    let different: BTreeSet<&str> = runs.lines().collect();
    assert_eq!((runs.lines().count(), different.len()), (ids.len(), ids.len()), "each once");
}

#[tokio::test]
async fn a_satellite_that_was_stopped_starts_nothing_that_has_expired_meanwhile() {
    let (hive, mut satellite) = start().await;
    // Stopped and not killed: the link stays up, and what is sent waits in its socket.
    satellite.process().signal(Signal::SIGSTOP);
    let command = json!({"command": "echo run >> runs", "expires_in_seconds": 1});
    let id = hive.submit(&satellite, &command).await;
    let long = json!({"command": "echo long >> runs", "expires_in_seconds": 300});
    let other = hive.submit(&satellite, &long).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    satellite.process().signal(Signal::SIGCONT);
    assert_eq!(hive.until_ended(&id).await["status"], "expired");
    assert_eq!(hive.until_ended(&other).await["status"], "succeeded", "one that has time left runs");
    assert_eq!(std::fs::read_to_string(hive.home().join("runs")).unwrap(), "long\n");
}
