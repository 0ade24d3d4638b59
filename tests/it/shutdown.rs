//! SIGTERM ends each process cleanly and soon, and nothing is left behind.

use std::time::Duration;

use hive_testkit::{Process, TestHive, binary};
use serde_json::json;

use crate::support::{sleeping, unique_seconds, until_sleeping};

const LIMIT: Duration = Duration::from_secs(5);

async fn check(process: &mut Process) {
    let took = process.stop().await;
    assert_eq!(process.try_code(), Some(0));
    assert!(took < LIMIT, "it took {took:?}");
}

#[tokio::test]
async fn a_server_ends_while_satellites_and_callers_hang_on_it() {
    let mut hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let seconds = unique_seconds();
    let id = hive.submit(&satellite, &json!({"command": format!("sleep {seconds}; echo done")})).await;
    let waiting =
        hive.rest().call("POST", &satellite.path("/exec")).json(&json!({"command": format!("sleep {seconds}")}));
    let events = hive.rest().call("GET", "/api/v1/events").events().await;
    let stopping = async {
        until_sleeping(&seconds, 2).await;
        check(hive.server()).await;
    };
    let (answer, ()) = tokio::join!(waiting.send(), stopping);
    if let Ok(answer) = answer {
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    events.rest().await;

    hive.restart_server().await;
    hive.until_online(&satellite, true).await;
    // The command went on meanwhile.
    hive.until_status(&id, "started").await;
    hive.rest().post(&format!("/api/v1/commands/{id}/cancel"), &json!({})).await.data();
    satellite.process().stop().await;
    assert_eq!(sleeping(&seconds), 0);
}

#[tokio::test]
async fn a_satellite_ends_with_everything_it_has_started() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let seconds = unique_seconds();
    // They ignore SIGTERM, so that the agent has to kill them.
    let line = format!("trap '' TERM; sleep {seconds} & setsid sleep {seconds} & wait; wait");
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    until_sleeping(&seconds, 2).await;
    check(satellite.process()).await;
    assert_eq!(sleeping(&seconds), 0);
    hive.until_online(&satellite, false).await;

    satellite.restart().await;
    let command = hive.until_status(&id, "cancelled").await;
    assert_eq!(command["error"]["code"], "UNAVAILABLE", "it says that nobody asked for this: {command}");
}

#[tokio::test]
async fn a_satellite_that_cannot_reach_its_server_ends_too() {
    let mut hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    hive.kill_server();
    check(satellite.process()).await;
}

#[tokio::test]
async fn a_hive_started_with_up_ends_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(binary("hive"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", dir.path());
    command.args(["-o", "json", "up", "--listen", "127.0.0.1:0"]).current_dir(dir.path());
    let mut up = Process::spawn("hive-up", command, &dir.path().join("logs"));
    hive_testkit::until("the satellite is there", async || {
        dir.path().join("hive-data/satellite/backend.key.json").exists()
    })
    .await;
    hive_testkit::until("it can be used", async || exec_works(dir.path()).await).await;
    check(&mut up).await;
    assert!(up.descendants().is_empty());
}

/// Whether a command runs from the folder in which `hive up` was started.
async fn exec_works(dir: &std::path::Path) -> bool {
    let mut command = tokio::process::Command::new(binary("hive"));
    command.env_clear().env("HOME", dir).current_dir(dir).args(["-o", "json", "exec", "all", "--", "true"]);
    hive_testkit::Finished::run(command).await.code == Some(0)
}
