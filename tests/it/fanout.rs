//! One command for several satellites.

use hive_testkit::{SatelliteOptions, TestHive, TestSatellite};
use serde_json::{Value, json};

use crate::support::text;

async fn tagged(hive: &TestHive, name: &str, tags: &[&str]) -> TestSatellite {
    let options =
        SatelliteOptions { tags: tags.iter().map(ToString::to_string).collect(), ..SatelliteOptions::default() };
    hive.satellite_with(name, options).await
}

/// The names of the satellites that ran a command, as the answer orders them.
fn names(results: &Value) -> Vec<&str> {
    results.as_array().expect("an array").iter().map(|result| text(&result["satellite_name"])).collect()
}

#[tokio::test]
async fn targets_are_ids_names_tags_or_all_and_each_counts_once() {
    let hive = TestHive::start().await;
    let web = tagged(&hive, "web-server-01", &["web", "eu"]).await;
    let _both = tagged(&hive, "web-server-02", &["web"]).await;
    let _data = tagged(&hive, "database-01", &["eu"]).await;
    let check = async |targets: &[&str], expected: &[&str]| {
        let request = json!({"targets": targets, "command": "true"});
        let results = hive.rest().post("/api/v1/exec", &request).await.data();
        assert_eq!(names(&results), expected, "{targets:?}");
    };
    check(&["all"], &["database-01", "web-server-01", "web-server-02"]).await;
    check(&["tag:web"], &["web-server-01", "web-server-02"]).await;
    check(&["tag:eu", "web-server-02"], &["database-01", "web-server-01", "web-server-02"]).await;
    check(&[web.id(), "web-server-01", "tag:web"], &["web-server-01", "web-server-02"]).await;

    for (targets, status) in
        [(json!(["no-such-satellite"]), 404), (json!(["tag:"]), 400), (json!(["Not A Name"]), 400), (json!([]), 400)]
    {
        let answer = hive.rest().post("/api/v1/exec", &json!({"targets": targets, "command": "true"})).await;
        assert_eq!(answer.refusal().0, status, "{targets}");
    }

    hive.rest().put(&web.path(""), &json!({"tags": ["moved"]})).await.data();
    check(&["tag:moved"], &["web-server-01"]).await;
    check(&["tag:web"], &["web-server-02"]).await;
}

#[tokio::test]
async fn no_more_run_at_the_same_time_than_was_asked_for() {
    let hive = TestHive::start().await;
    let mut satellites = Vec::new();
    for number in 0..4 {
        satellites.push(hive.satellite(&format!("web-server-{number:02}")).await);
    }
    let file = hive.dir().join("turns");
    // Lines are appended as a whole; each run waits long enough to meet the others.
    let line = format!("echo begin >> {0}; sleep 0.3; echo end >> {0}", file.display());
    let request = json!({"targets": ["all"], "concurrency": 2, "command": line});
    let results = hive.rest().post("/api/v1/exec", &request).await.data();
    assert_eq!(names(&results).len(), 4);

    let (mut running, mut most) = (0, 0);
    for turn in std::fs::read_to_string(file).unwrap().lines() {
        running += if turn == "begin" { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!((running, most), (0, 2));
}

#[tokio::test]
async fn the_worst_status_of_all_targets_is_the_exit_status() {
    let hive = TestHive::start().await;
    let (_first, _second) = (hive.satellite("web-server-01").await, hive.satellite("web-server-02").await);
    let mut third = hive.satellite("web-server-03").await;
    let dir = hive.dir().display().to_string();
    // The satellites share one machine: who comes first makes the folder.
    let line = format!("mkdir {dir}/a 2>&- && exit 1; mkdir {dir}/b 2>&- && exit 4; exit 0");
    let finished = hive.cli(["-o", "json", "exec", "all", "--concurrency", "1", "--shell", &line]).await;
    let mut codes: Vec<i64> =
        finished.json().as_array().unwrap().iter().filter_map(|r| r["exit_code"].as_i64()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 1, 4]);
    assert_eq!(finished.code, Some(4));

    third.process().kill();
    hive.until_online(&third, false).await;
    let finished = hive.cli(["-o", "json", "exec", "all", "--", "true"]).await;
    assert_eq!(finished.code, Some(255), "one could not be reached");
    let statuses: Vec<Value> =
        finished.json().as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
    assert_eq!(statuses, ["succeeded", "succeeded", "not_run"]);

    let timed_out = hive.cli(["-o", "json", "exec", "web-server-01", "--timeout", "1", "--", "sleep", "30"]).await;
    assert_eq!(timed_out.code, Some(124), "{}", timed_out.stderr);
    assert_eq!(timed_out.json()[0]["status"], "timed_out");
}

#[tokio::test]
async fn a_fan_out_is_streamed_with_the_satellite_of_every_event() {
    let hive = TestHive::start().await;
    let first = hive.satellite("web-server-01").await;
    let second = hive.satellite("web-server-02").await;
    let request = json!({"targets": ["all"], "command": "echo hello"});
    let events = hive.rest().call("POST", "/api/v1/exec").json(&request).events().await.rest().await;
    for satellite in [&first, &second] {
        let of_it: Vec<&str> = events
            .iter()
            .filter(|(_, event)| event["satellite_id"] == satellite.id())
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(of_it, ["accepted", "output", "exit"]);
    }
}

#[tokio::test]
async fn of_one_target_the_bytes_are_passed_on_as_they_are() {
    let hive = TestHive::start().await;
    let _satellite = hive.satellite("web-server-01").await;
    let one = hive.cli(["exec", "web-server-01", "--", "printf", "a\\nb"]).await.expect_success();
    assert_eq!(one.stdout, "a\nb");
}
