//! `kill -9` at any moment: nothing that was acknowledged is lost, nothing runs twice, and what is doubtful says so.
//!
//! `HIVE_CRASH_SEED` and `HIVE_CRASH_ROUNDS` repeat a failure or look for longer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hive_testkit::{Rest, Satellite, TestHive, until, until_some};
use serde_json::json;

use crate::support::{Dice, counted_to, number, text, unique_seconds, until_sleeping};

const ROUNDS: u32 = 18;
/// How many callers give commands at the same time.
const CALLERS: usize = 4;

/// Gives commands until it is told to stop; each appends its own number to the file. A call that got no answer is made
/// again with the same `Idempotency-Key`, so that in the end every command was acknowledged. Returns their ids.
async fn give_commands(
    rest: Rest,
    path: String,
    file: &Path,
    numbers: &AtomicU32,
    stop: &AtomicBool,
) -> BTreeMap<u32, String> {
    let mut acknowledged = BTreeMap::new();
    while !stop.load(Ordering::SeqCst) {
        let number = numbers.fetch_add(1, Ordering::SeqCst);
        let pause = if number.is_multiple_of(2) { "sleep 0.03" } else { ":" };
        let line = format!("{pause}; echo {number} >> {}; {pause}", file.display());
        let command = json!({"command": line, "expires_in_seconds": 600});
        let call = rest.with("idempotency-key", &format!("number-{number}"));
        let id = until_some("a command is acknowledged", async || {
            // Where nobody answers, it is not known whether the command was stored.
            let answer = call.call("POST", &path).json(&command).send().await.ok()?;
            assert!(answer.status == 202 || answer.status >= 500, "{} {}", answer.status, answer.text());
            (answer.status == 202).then(|| text(&answer.data()["command_id"]).to_owned())
        });
        acknowledged.insert(number, id.await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    acknowledged
}

/// Kills one or both of them at a random moment and starts them again, several times.
async fn kill_at_random(hive: &mut TestHive, satellite: &mut Satellite, dice: &mut Dice, rounds: u32) {
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(100 + dice.below(700))).await;
        // Each is killed alone before both are.
        let (kills_server, kills_agent) = match round % 3 {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        if kills_server {
            hive.kill_server();
        }
        if kills_agent {
            satellite.process().kill();
        }
        if kills_server {
            hive.restart_server().await;
        }
        if kills_agent {
            satellite.restart().await;
        }
        // Now and then nobody waits until they have found each other.
        if dice.below(3) > 0 {
            hive.until_online(satellite, true).await;
        }
    }
    hive.until_online(satellite, true).await;
}

/// How often each number stands in the file.
fn counts(file: &Path) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        *counts.entry(line.parse().expect("whole lines are appended")).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_run_twice_when_processes_are_killed() {
    let seed = number("HIVE_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()) | 1 << 32);
    let rounds = number("HIVE_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds as u32);
    let mut hive = TestHive::start().await;
    let mut satellite = hive.satellite("web-server-01").await;
    let file = hive.dir().join("numbers");
    let (numbers, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    let (rest, path) = (hive.rest(), satellite.path("/exec?wait=false"));
    let caller = || give_commands(rest.clone(), path.clone(), &file, &numbers, &stop);

    let callers: [_; CALLERS] = std::array::from_fn(|_| caller());
    let [a, b, c, d] = callers;
    let mut dice = Dice(seed);
    let killing = async {
        kill_at_random(&mut hive, &mut satellite, &mut dice, rounds).await;
        stop.store(true, Ordering::SeqCst);
    };
    let (a, b, c, d, ()) = tokio::join!(a, b, c, d, killing);
    let acknowledged: BTreeMap<u32, String> = [a, b, c, d].into_iter().flatten().collect();

    let mut statuses: BTreeMap<String, u32> = BTreeMap::new();
    let mut ended = BTreeMap::new();
    for (number, id) in &acknowledged {
        let status = text(&hive.until_ended(id).await["status"]).to_owned();
        *statuses.entry(status.clone()).or_default() += 1;
        ended.insert(*number, status);
    }
    // The last ones to be queued have ended, so nothing is appended any more.
    let counts = counts(&file);
    let told = format!("seed {seed}, {} acknowledged: {statuses:?}", acknowledged.len());
    for (number, count) in &counts {
        assert_eq!(*count, 1, "{number} ran twice; {told}");
    }
    for (number, status) in &ended {
        let has_run = counts.contains_key(number);
        match status.as_str() {
            "succeeded" => assert!(has_run, "{number} succeeded and never ran; {told}"),
            "outcome_unknown" => {}
            other => panic!("{number} ended {other}; {told}"),
        }
    }
    for number in counts.keys() {
        assert!(ended.contains_key(number), "{number} ran and was never acknowledged; {told}");
    }
    let trail = hive.rest().get("/api/v1/audit/verify").await.data();
    assert_eq!(trail["valid"], true, "the trail has holes: {trail}; {told}");
    let succeeded = statuses.get("succeeded").copied().unwrap_or_default();
    assert!(succeeded > rounds && u64::from(succeeded) > acknowledged.len() as u64 / 2, "{told}");
}

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
async fn output_is_exact_although_the_server_was_killed_in_the_middle() {
    let mut hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let gate = hive.dir().join("gate");
    let wait = format!("until test -e {}; do sleep 0.01; done", gate.display());
    let line = format!("seq 1 60000; {wait}; seq 1 60000");
    let id = hive.submit(&satellite, &json!({"command": line})).await;
    until("the first half is on its way", async || hive.command(&id).await["stdout"] != "").await;
    hive.kill_server();
    std::fs::write(&gate, "").unwrap();
    hive.restart_server().await;
    let command = hive.until_status(&id, "succeeded").await;
    assert!(text(&command["stdout"]) == counted_to(60_000).repeat(2), "bytes are missing, changed or doubled");
}
