//! The outside contract, to the letter: other programs rely on every word of it.

use std::collections::BTreeSet;

use hive_testkit::{SatelliteOptions, TestHive};
use serde_json::json;

use crate::support::{expect_json_lines, keys, text};

const RESULT_KEYS: [&str; 8] =
    ["satellite_id", "satellite_name", "status", "exit_code", "stdout", "stderr", "duration_ms", "truncated"];

#[tokio::test]
async fn the_server_says_where_it_listens_and_nothing_else() {
    let mut hive = TestHive::start().await;
    let url = hive.url().to_owned();
    let lines = expect_json_lines(hive.server());
    assert_eq!(lines, [json!({"event": "listening", "http": url})]);
    assert!(url.starts_with("http://127.0.0.1:") && !url.ends_with(":0"), "{url}");
}

#[tokio::test]
async fn admins_and_keys_are_made_beside_a_running_server() {
    let hive = TestHive::start_empty().await;
    let admin = hive.server_command(&["admin", "create", "--username", "second"]).await;
    assert_eq!(keys(&admin), BTreeSet::from(["username", "password"]));
    assert_eq!(admin["username"], "second");
    let login = json!({"username": "second", "password": admin["password"]});
    let login = hive.anonymous().post("/api/v1/auth/login", &login).await.data();
    let me = hive.anonymous().bearer(text(&login["token"])).get("/api/v1/auth/me").await.data();
    assert_eq!(me["user"]["username"], "second");
    assert_eq!(me["user"]["role"], "global_admin");

    let key = hive.server_command(&["api-key", "create", "--username", "second"]).await;
    assert_eq!(keys(&key), BTreeSet::from(["api_key"]));
    for caller in
        [hive.anonymous().with("x-api-key", text(&key["api_key"])), hive.anonymous().bearer(text(&key["api_key"]))]
    {
        assert_eq!(caller.get("/api/v1/auth/me").await.data()["user"]["username"], "second");
    }
}

#[tokio::test]
async fn a_token_of_the_command_line_brings_a_satellite_online() {
    let hive = TestHive::start().await;
    let token = hive.cli(["-o", "json", "tokens", "create", "--scope", "global"]).await.expect_success().json();
    assert!(keys(&token).is_superset(&BTreeSet::from(["token", "expires_at"])), "{token}");
    assert!(text(&token["token"]).starts_with("hive_satellite_global_"));

    let mut satellite =
        hive.satellite_with_token("web-server-01", text(&token["token"]), SatelliteOptions::default()).await;
    let id = satellite.id().to_owned();
    let said = expect_json_lines(satellite.process());
    assert_eq!(said.len(), 1);
    assert_eq!((&said[0]["event"], &said[0]["satellite_id"]), (&json!("online"), &json!(id)));
    assert_eq!(hive.exec(&satellite, "echo ready").await["stdout"], "ready\n", "online means that it can be used");
}

#[tokio::test]
async fn exec_prints_an_array_and_exits_with_the_worst_status() {
    let hive = TestHive::start().await;
    let first = hive.satellite("web-server-01").await;
    let second = hive.satellite("web-server-02").await;
    let finished = hive.cli(["-o", "json", "exec", "all", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]).await;
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    let results = finished.json();
    let results = results.as_array().expect("an array");
    assert_eq!(results.len(), 2);
    // By name, in whichever order they ended.
    for (result, satellite) in results.iter().zip([&first, &second]) {
        let mut expected = BTreeSet::from(RESULT_KEYS);
        expected.insert("command_id");
        assert_eq!(keys(result), expected, "what programs rely on, and the id to ask on with");
        assert_eq!(result["satellite_id"], satellite.id());
        assert_eq!(result["satellite_name"], satellite.name());
        assert_eq!(result["status"], "failed");
        assert_eq!(result["exit_code"], 3);
        assert_eq!(result["stdout"], "out\n");
        assert_eq!(result["stderr"], "err\n");
        assert_eq!(result["truncated"], false);
        assert!(result["duration_ms"].is_u64());
    }
    let finished = hive.cli(["-o", "json", "exec", "all", "--", "true"]).await.expect_success();
    assert_eq!(finished.json().as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn commands_run_over_rest_with_and_without_waiting() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let answer = hive.rest().post(&satellite.path("/exec"), &json!({"command": "echo hello"})).await;
    assert_eq!(answer.status, 200);
    let result = answer.data();
    assert!(keys(&result).is_superset(&BTreeSet::from(RESULT_KEYS)), "{result}");
    assert_eq!((&result["status"], &result["stdout"]), (&json!("succeeded"), &json!("hello\n")));

    let id = hive.submit(&satellite, &json!({"command": "echo later"})).await;
    let command = hive.until_status(&id, "succeeded").await;
    assert_eq!((&command["stdout"], &command["exit_code"]), (&json!("later\n"), &json!(0)));
}

#[tokio::test]
async fn the_trail_is_exported_and_verified_without_the_hive() {
    let mut hive = TestHive::start().await;
    let file = hive.dir().join("trail.jsonl");
    let file = file.to_str().expect("a plain path");
    hive.cli(["audit", "export", "--output", file]).await.expect_success();
    // The export has to be enough for the check.
    hive.kill_server();
    hive.cli(["audit", "verify", file]).await.expect_success();
}
