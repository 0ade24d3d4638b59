//! Commands of satellites that do not come back: when they end, and what the command line shows meanwhile.

use std::time::Duration;

use hive_testkit::{Process, ServerOptions, TestHive, WallClock, until};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{text, unique_seconds, until_sleeping};

const NAME: &str = "web-server-01";

/// How often the server looks for overdue commands.
const SWEEP: Duration = Duration::from_secs(5);
/// What else may take time on a busy machine.
const LEEWAY: Duration = Duration::from_secs(5);

async fn hive_with_grace(seconds: &str, env: Vec<(String, String)>) -> TestHive {
    let args = ["--lost-grace", seconds].map(String::from).to_vec();
    TestHive::start_with(ServerOptions { args, env, ..ServerOptions::default() }).await
}

#[tokio::test]
async fn who_waits_for_a_lost_satellite_is_told_of_it_and_of_the_end_in_time() {
    let hive = hive_with_grace("1", Vec::new()).await;
    let mut satellite = hive.satellite(NAME).await;
    let seconds = unique_seconds();
    let logs = hive.dir().join("logs");
    // By a single command and by a job, which are followed in different ways.
    let mut waiting = [NAME, "all"].map(|target| {
        let command = hive.hive_command(hive.url(), ["exec", target, "--timeout", "2", "--", "sleep", &seconds]);
        Process::spawn(&format!("exec-{target}"), command.into_std(), &logs)
    });
    // The two command lines have the number among their arguments as well.
    until_sleeping(&seconds, 4).await;
    satellite.process().kill();
    let killed = Instant::now();
    let [one, all] = &mut waiting;
    until("the loss is told", async || one.log().contains("lost its link")).await;
    assert!(killed.elapsed() < Duration::from_secs(2), "it was told after {:?}", killed.elapsed());
    let told = one.log();
    assert!(told.contains("web-server-01 lost its link to the hive, the command may go on there; in "), "{told}");

    assert_eq!(one.exited().await.code(), Some(255), "{}", one.log());
    assert_eq!(all.exited().await.code(), Some(255), "{}", all.log());
    let took = killed.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(3) + SWEEP + LEEWAY, "{took:?}");
    let end = "outcome_unknown: nothing was heard of it until 1 s after its timeout";
    assert!(one.log().contains(&format!("{NAME}: {end}")), "{}", one.log());
    assert!(all.stdout().contains("outcome_unknown"), "{}", all.stdout());
    let commands = hive.rest().get(&satellite.path("/commands")).await.data();
    for command in commands.as_array().unwrap() {
        assert_eq!((text(&command["status"]), &command["exit_code"]), ("outcome_unknown", &json!(null)));
    }
}

#[tokio::test]
async fn after_a_start_of_the_server_a_satellite_has_its_grace_once_more() {
    const GRACE: Duration = Duration::from_secs(2);
    let clock = WallClock::off_by(0);
    let mut hive = hive_with_grace("2", clock.env()).await;
    let mut satellite = hive.satellite(NAME).await;
    let id = hive.submit(&satellite, &json!({"command": "sleep 100", "timeout_seconds": 1})).await;
    hive.until_status(&id, "started").await;
    satellite.process().kill();
    hive.kill_server();
    // By the wall clock, the deadline of the command passed long ago. Only the start of the server can delay its end.
    clock.set(600);
    hive.restart_server().await;
    let started = Instant::now();
    let ended = hive.until_ended(&id).await;
    let took = started.elapsed();
    assert_eq!(ended["status"], "outcome_unknown", "{ended}");
    assert!(took > GRACE.mul_f32(0.9) && took < GRACE + SWEEP + LEEWAY, "it ended {took:?} after the start");
}
