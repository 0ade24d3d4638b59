//! `hive api`: calls of any path.

use hive_testkit::{Process, TestHive, until};
use serde_json::Value;

use super::Home;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn any_path_is_called_with_fields_or_a_file() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let listed = hive.cli(["-o", "json", "api", "get", "satellites", "-f", "search=web-server-01"]).await;
    assert_eq!(json(&listed.expect_success().stdout)["data"][0]["id"], satellite.id().to_string());

    let exec = satellite.path("/exec");
    let ran = hive.cli(["api", "POST", &exec, "-f", "command=printf 42", "-f", "timeout_seconds=30"]).await;
    let ran = ran.expect_success();
    assert_eq!(json(&ran.stdout)["data"]["stdout"], "42");
    assert!(ran.stdout.lines().count() > 5, "for people, over several lines: {}", ran.stdout);

    let home = Home::new();
    let login = ["--url", hive.url(), "--api-key", hive.api_key()];
    let update = login.iter().copied().chain(["api", "PUT", "teams/none/members", "--input", "-"]);
    let refused = home.run_with("{\"username\": \"admin\", \"role\": \"viewer\"}", update).await;
    assert_eq!(refused.code, Some(2), "the id is no id: {refused:?}");
    let file = home.path().join("tags.json");
    std::fs::write(&file, "{\"tags\": [\"called\"]}").unwrap();
    let put = hive.cli(["-o", "jsonl", "api", "PUT", &satellite.path(""), "--input", file.to_str().unwrap()]).await;
    assert_eq!(json(&put.expect_success().stdout)["tags"][0], "called");
}

#[tokio::test]
async fn a_refused_call_has_the_usual_error() {
    let hive = TestHive::start().await;
    let check = async |args: &[&str], code: i32, message: &str| {
        let refused = hive.cli([&["api"], args].concat()).await;
        assert_eq!(refused.code, Some(code), "{refused:?}");
        assert!(refused.stderr.contains(message) && refused.stdout.is_empty(), "{refused:?}");
    };
    check(&["GET", "satellites/sat_00000000000000000000000000"], 68, "sat_00000000000000000000000000").await;
    check(&["TRACE", "satellites"], 2, "method").await;
    check(&["GET", "satellites", "-f", "colour=red"], 2, "colour").await;
    check(&["GET", "satellites", "-f", "red"], 2, "NAME=VALUE").await;
}

#[tokio::test]
async fn a_stream_is_printed_as_it_comes() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let command = hive.hive_command(hive.url(), ["api", "GET", "events"]);
    let mut events = Process::spawn("events", command.into_std(), hive.dir());
    let mut tag = 0;
    until("an event is printed", async || {
        tag += 1;
        hive.cli(["satellites", "update", "web-server-01", "--tag", &format!("t{tag}")]).await.expect_success();
        events.stdout().contains(&satellite.id().to_string())
    })
    .await;
    events.kill();
}
