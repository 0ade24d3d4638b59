//! The question before a command runs on many satellites, at a real terminal.

use hive_core::RemoteHive;
use hive_testkit::{PATIENCE, Simulator, TestHive, enrol};
use serde_json::{Value, json};

use crate::support::text;

/// One more than run without a question.
const FLEET: usize = 101;
const QUESTION: &str = "Run on 101 satellites? [y/N]";

async fn jobs(hive: &TestHive) -> Vec<Value> {
    hive.rest().get("/api/v1/jobs").await.data().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_for_more_than_a_hundred_satellites_is_confirmed_at_a_terminal() {
    let hive = TestHive::start().await;
    let remote = RemoteHive::connect(hive.url(), hive.api_key().to_owned().into()).unwrap();
    let identities = enrol(&remote, FLEET).await.unwrap();
    let simulator = Simulator::start(hive.url().trim_start_matches("http://"), identities);
    simulator.until("all are online", PATIENCE * 4, |tally| tally.online == FLEET).await;
    let run = ["exec", "all", "--", "true"];

    for (answer, code) in [("n\r", 130), ("\r", 130), ("\u{3}", 130)] {
        let mut console = hive.console(run);
        console.until_text(QUESTION).await;
        console.type_keys(answer).await;
        assert_eq!(console.exit_code().await, code, "{answer:?}: {}", console.text());
    }
    assert_eq!(jobs(&hive).await, Vec::<Value>::new(), "without a yes nothing is stored");

    let mut console = hive.console(run);
    console.until_text(QUESTION).await;
    console.type_keys("y\r").await;
    assert_eq!(console.exit_code().await, 0, "{}", console.text());
    let mut console = hive.console(["exec", "--yes", "all", "--", "true"]);
    assert_eq!(console.exit_code().await, 0, "{}", console.text());
    assert!(!console.text().contains("Run on"), "--yes answers: {}", console.text());
    // Without a terminal there is nobody to ask, and programs go on as before.
    hive.cli(run).await.expect_success();
    let stored = jobs(&hive).await;
    assert_eq!(stored.len(), 3);
    assert!(stored.iter().all(|job| job["counts"] == json!({ "succeeded": FLEET })), "{stored:?}");

    // A hundred are not many.
    let satellites = hive.rest().get("/api/v1/satellites?per_page=1").await.data();
    let removed = hive.rest().delete(&format!("/api/v1/satellites/{}", text(&satellites[0]["id"]))).await;
    assert!(removed.is_success(), "{}", removed.text());
    let mut console = hive.console(run);
    assert_eq!(console.exit_code().await, 0, "{}", console.text());
    assert!(!console.text().contains("Run on"), "{}", console.text());
    simulator.stop().await;
}
