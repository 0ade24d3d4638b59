//! `kill -9` at moments that matter. What random ones bring to light is in `chaos`.

use hive_testkit::procfs::{Pid, running_with as sleepers};
use hive_testkit::{TestHive, until};
use serde_json::json;

use crate::support::{counted_to, sleeping, text, unique_seconds, until_sleeping};

#[tokio::test]
async fn a_satellite_that_lost_its_journal_does_not_guess() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let runs = hive.dir().join("runs");
    let seconds = unique_seconds();
    let line = format!("echo run >> {}; sleep {seconds}", runs.display());
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    until_sleeping(&seconds, 1).await;
    satellite.process().kill();
    for entry in std::fs::read_dir(satellite.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        // The key stays: the same satellite comes back, without its journal.
        let is_key = path.file_name().is_some_and(|name| name == "backend.key.json");
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else if !is_key {
            std::fs::remove_file(path).unwrap();
        }
    }
    satellite.restart().await;
    hive.until_status(&id, "outcome_unknown").await;
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n", "it is not run again");
}

#[tokio::test]
async fn what_a_killed_satellite_left_running_ends_before_its_outcome_is_called_unknown() {
    let hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let seconds = unique_seconds();
    // One that left the process group of the command, and one in it.
    let line = format!("setsid sleep {seconds} & sleep {seconds}");
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    until_sleeping(&seconds, 2).await;
    let daemon = format!("setsid sleep {seconds} > /dev/null 2>&1 &");
    assert_eq!(hive.exec(&satellite, &daemon).await["status"], "succeeded");
    until_sleeping(&seconds, 3).await;
    satellite.process().kill_alone();
    satellite.restart().await;
    hive.until_status(&id, "outcome_unknown").await;
    assert_eq!(sleeping(&seconds), 1, "what a command has left behind on purpose goes on");
    satellite.process().stop().await;
    sleepers(&seconds).into_iter().for_each(Pid::kill);
}

#[tokio::test]
async fn output_is_exact_although_the_server_was_killed_in_the_middle() {
    let mut hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let gate = hive.dir().join("gate");
    let wait = format!("until test -e {}; do sleep 0.01; done", gate.display());
    let line = format!("seq 1 60000; {wait}; seq 1 60000");
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    until("the first half is on its way", async || hive.command(&id).await["stdout"] != "").await;
    hive.kill_server();
    // The second half is printed while there is no server.
    std::fs::write(&gate, "").unwrap();
    hive.restart_server().await;
    let command = hive.until_status(&id, "succeeded").await;
    assert!(text(&command["stdout"]) == counted_to(60_000).repeat(2), "bytes are missing, changed or doubled");
}
