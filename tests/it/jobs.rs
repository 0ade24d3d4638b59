//! Commands on many satellites that the hive owns.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::join_all;
use hive_testkit::{TestHive, TestSatellite, until, until_some};
use serde_json::{Value, json};

use crate::support::text;

mod large;

async fn satellites(hive: &TestHive, count: usize) -> Vec<TestSatellite> {
    let names: Vec<_> = (0..count).map(|number| format!("web-server-{number:02}")).collect();
    join_all(names.iter().map(|name| hive.satellite(name))).await
}

async fn submit(hive: &TestHive, request: &Value) -> String {
    let answer = hive.rest().post("/api/v1/jobs", request).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    text(&answer.data()["id"]).to_owned()
}

async fn job(hive: &TestHive, id: &str) -> Value {
    hive.rest().get(&format!("/api/v1/jobs/{id}")).await.data()
}

async fn until_ended(hive: &TestHive, id: &str) -> Value {
    until_some(&format!("{id} has ended"), async || {
        Some(job(hive, id).await).filter(|job| !job["finished_at"].is_null())
    })
    .await
}

/// The audit records about a job, oldest first.
async fn records(hive: &TestHive, id: &str) -> Vec<Value> {
    let logs = hive.rest().get("/api/v1/audit/logs?action=satellite.exec_multi&per_page=1000").await.data();
    let of_it = logs.as_array().unwrap().iter().filter(|record| record["target"]["id"] == id);
    let mut records: Vec<Value> = of_it.cloned().collect();
    records.reverse();
    records
}

/// Every line that commands have written there, by how often.
fn lines(file: &Path) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        *lines.entry(line.to_owned()).or_default() += 1;
    }
    lines
}

/// The most commands that ran at the same time, as their `begin` and `end` say.
fn most_at_once(file: &Path) -> i32 {
    let (mut running, mut most) = (0, 0);
    for turn in std::fs::read_to_string(file).unwrap_or_default().lines() {
        running += if turn == "begin" { 1 } else { -1 };
        most = most.max(running);
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_survives_kills_of_the_server_with_every_target_once_and_its_cap() {
    let mut hive = TestHive::start().await;
    let _satellites = satellites(&hive, 20).await;
    let (ran, turns) = (hive.dir().join("ran"), hive.dir().join("turns"));
    // Lines are appended as a whole; each run waits long enough to meet the others and the kill.
    let line = format!(
        "echo begin >> {1}; echo $HIVE_COMMAND_ID >> {0}; sleep 0.2; echo end >> {1}",
        ran.display(),
        turns.display()
    );
    let id = submit(&hive, &json!({"targets": ["all"], "concurrency": 3, "command": line})).await;
    // Two kills: while the first targets run, and in the middle of the job.
    for ended in [2, 9] {
        until("some of it has run", async || job(&hive, &id).await["counts"]["succeeded"].as_u64() >= Some(ended))
            .await;
        hive.kill_server();
        hive.restart_server().await;
    }
    let ended = until_ended(&hive, &id).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["counts"], json!({"succeeded": 20}));
    let targets = hive.rest().get(&format!("/api/v1/jobs/{id}/targets")).await.data();
    let expected: BTreeMap<String, u32> =
        targets.as_array().unwrap().iter().map(|target| (text(&target["command_id"]).to_owned(), 1)).collect();
    assert_eq!(lines(&ran), expected, "every target once");
    assert!(most_at_once(&turns) <= 3, "the cap is kept through the kills");
    let results: Vec<Value> = records(&hive, &id).await.iter().map(|record| record["result"].clone()).collect();
    assert_eq!(results, ["intent", "success"], "one record of the intent and one of the outcome");
}

#[tokio::test]
async fn a_job_is_told_of_while_it_runs_and_cancelled_with_what_runs() {
    let hive = TestHive::start().await;
    let _satellites = satellites(&hive, 3).await;
    let request = json!({"targets": ["all"], "concurrency": 1, "command": "sleep 60"});
    let id = submit(&hive, &request).await;
    let mut events = hive.rest().call("GET", &format!("/api/v1/jobs/{id}/events")).events().await;
    loop {
        let (name, event) = events.next().await.expect("the job runs");
        assert_eq!(name, "progress", "{event}");
        if event["counts"]["delivered"] == 1 {
            break;
        }
    }
    let cancelled = hive.rest().post(&format!("/api/v1/jobs/{id}/cancel"), &json!({})).await.data();
    assert_eq!(cancelled["counts"]["cancelled"], 2, "what waits ends at once: {cancelled}");
    let rest = events.rest().await;
    let (last, ended) = rest.last().expect("the end is told");
    assert_eq!((last.as_str(), &ended["status"]), ("ended", &json!("cancelled")));
    assert_eq!(rest.iter().filter(|(name, _)| name == "target").count(), 3);
    assert_eq!(ended["counts"], json!({"cancelled": 3}));
    let listed = hive.rest().get("/api/v1/jobs").await.data();
    assert_eq!(listed[0]["id"], id.as_str());
}

#[tokio::test]
async fn the_same_key_is_the_same_job_and_what_is_not_known_is_refused() {
    let hive = TestHive::start().await;
    let _satellite = hive.satellite("web-server-01").await;
    let post = async |key: &str, command: &str| {
        let request = json!({"targets": ["all"], "command": command});
        hive.rest().with("idempotency-key", key).post("/api/v1/jobs", &request).await
    };
    let first = post("k1", "true").await.data();
    assert_eq!(post("k1", "true").await.data()["id"], first["id"]);
    assert_eq!(post("k1", "false").await.refusal(), (409, "CONFLICT".into()));
    for (request, status) in [
        (json!({"targets": ["all"], "command": "true", "stop_on_failures": 1}), 400),
        (json!({"targets": ["all"], "command": "true", "concurrency": 0}), 400),
        (json!({"targets": ["all"], "command": "true", "deadline_seconds": 0}), 400),
        (json!({"targets": ["no-such-satellite"], "command": "true"}), 404),
        (json!({"targets": [], "command": "true"}), 400),
    ] {
        assert_eq!(hive.rest().post("/api/v1/jobs", &request).await.refusal().0, status, "{request}");
    }
}

#[tokio::test]
async fn for_people_those_that_said_the_same_stand_together() {
    let hive = TestHive::start().await;
    let _satellites = satellites(&hive, 3).await;
    // The satellites share one machine: only what one of them is told differs.
    let line = format!("mkdir {}/first 2>&- && echo odd || echo even", hive.dir().display());
    let finished = hive.cli(["exec", "all", "--shell", &line]).await.expect_success();
    let blocks: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(blocks.len(), 4, "{blocks:?}");
    assert!(blocks[0].ends_with("(2):") && blocks[1] == "even", "the most first: {blocks:?}");
    assert!(blocks[2].starts_with("web-server-") && blocks[2].ends_with(':') && blocks[3] == "odd", "{blocks:?}");
    let hostile = hive.cli(["exec", "all", "--", "printf", "\\033[2J\\rlie\\n"]).await.expect_success();
    assert!(!hostile.stdout.contains('\u{1b}') && hostile.stdout.contains("\\u{1b}[2J"), "{:?}", hostile.stdout);
    assert!(hostile.stdout.starts_with("web-server-00, web-server-01, web-server-02 (3):\n"));
}

#[tokio::test]
async fn a_job_is_begun_and_left_and_seen_again() {
    let hive = TestHive::start().await;
    let _satellites = satellites(&hive, 3).await;
    let detached = hive.cli(["exec", "all", "--detach", "--", "echo", "hello"]).await.expect_success();
    let id = detached.stdout.trim().to_owned();
    assert!(id.starts_with("job_"), "{id}");
    let watched = hive.cli(["jobs", "watch", &id]).await.expect_success();
    assert_eq!(watched.stdout.matches(": succeeded\n").count(), 3, "{}", watched.stdout);
    let shown = hive.cli(["jobs", "show", &id]).await.expect_success();
    assert_eq!(shown.stdout.matches("web-server-0").count(), 3, "{}", shown.stdout);
    let said = hive.cli(["jobs", "show", &id, "--output"]).await.expect_success();
    assert!(said.stdout.ends_with("(3):\nhello\n"), "{}", said.stdout);
    let listed = hive.cli(["-o", "json", "jobs", "list"]).await.expect_success().json();
    assert_eq!((&listed[0]["id"], &listed[0]["status"]), (&json!(id), &json!("succeeded")));
    assert_eq!(hive.cli(["-o", "json", "jobs", "cancel", &id]).await.json()["status"], "succeeded");
}

#[tokio::test]
async fn ctrl_c_cancels_the_job_and_says_so() {
    let hive = TestHive::start().await;
    let _satellites = satellites(&hive, 3).await;
    let mut console = hive.console(["exec", "all", "--", "sleep", "60"]);
    console.until("progress is shown", |screen| screen.contents().contains("0 of 3 done, 3 running")).await;
    console.type_keys("\u{3}").await;
    console.until("the end of the job is told", |screen| screen.contents().contains("was cancelled")).await;
    assert_eq!(console.exit_code().await, 130);
    let listed = hive.rest().get("/api/v1/jobs").await.data();
    assert_eq!(listed[0]["counts"], json!({"cancelled": 3}));
}

#[tokio::test]
async fn a_stopping_server_leaves_a_job_to_the_next_start() {
    let mut hive = TestHive::start().await;
    let _satellites = satellites(&hive, 3).await;
    let file = hive.dir().join("ran");
    let line = format!("echo $HIVE_COMMAND_ID >> {}; sleep 0.5", file.display());
    let id = submit(&hive, &json!({"targets": ["all"], "concurrency": 1, "command": line})).await;
    until("the first one runs", async || !lines(&file).is_empty()).await;
    hive.server().stop().await;
    hive.restart_server().await;
    assert_eq!(until_ended(&hive, &id).await["counts"], json!({"succeeded": 3}));
    assert!(lines(&file).len() == 3 && lines(&file).values().all(|count| *count == 1), "{:?}", lines(&file));
}
