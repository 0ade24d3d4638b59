//! The UI socket of a real server, with real satellites.

use std::time::Duration;

use data_encoding::BASE64;
use hive_testkit::{SatelliteOptions, ServerOptions, TestHive, UiClient, procfs, until};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::text;

/// Where the server listens.
fn address(hive: &TestHive) -> &str {
    hive.url().trim_start_matches("http://")
}

async fn admin(hive: &TestHive) -> UiClient {
    let mut client = UiClient::open(address(hive), hive.api_key()).await;
    client.initial_pages().await;
    client
}

/// Collects the output of a session until it has this text.
async fn until_output(client: &mut UiClient, wanted: &str) -> String {
    let mut output = String::new();
    while !output.contains(wanted) {
        let piece = client.event("session:output").await;
        let bytes = BASE64.decode(text(&piece["output"]).as_bytes()).unwrap();
        output.push_str(&String::from_utf8_lossy(&bytes));
    }
    output
}

#[tokio::test]
async fn a_page_opens_a_session_types_reads_and_closes_it() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let (mut client, mut other) = (admin(&hive).await, admin(&hive).await);
    let create = json!({ "satellite_id": satellite.id(), "cols": 100, "rows": 30, "shell": "/bin/sh" });
    let attached = client.act("session:create", create).await;
    let id = attached["session_id"].clone();
    assert_eq!((&attached["is_mine"], &attached["session"]["status"]), (&json!(true), &json!("open")));
    assert_eq!(other.event("session:started").await["session_id"], id);
    let input = |line: &str| json!({ "session_id": id, "input": BASE64.encode(line.as_bytes()) });
    client.act("session:input", input("stty size; echo six=$((2*3))\n")).await;
    let output = until_output(&mut client, "six=6").await;
    assert!(output.contains("30 100"), "{output}");
    client.act("session:resize", json!({ "session_id": id, "cols": 120, "rows": 40 })).await;
    client.act("session:input", input("until stty size | grep '40 120'; do :; done\n")).await;
    until_output(&mut client, "\n40 120").await;
    client.act("session:input", input("exit 7\n")).await;
    let ended = client.event("session:ended").await;
    assert_eq!(ended, json!({ "session_id": id, "reason": "exited", "exit_code": 7 }));
    let heard = other.event("session:ended").await;
    assert_eq!(heard, ended);
    // A second one is ended from outside.
    let attached = client.act("session:create", json!({ "satellite_id": satellite.id() })).await;
    let id = attached["session_id"].clone();
    client.act("session:close", json!({ "session_id": id })).await;
    assert_eq!(client.event("session:ended").await["reason"], "killed");
    // All of it stands in the audit log as it does for REST.
    let actions = hive.rest().get("/api/v1/audit/logs?per_page=100").await.data();
    for action in ["session.create", "session.attach", "session.terminate"] {
        assert!(actions.as_array().unwrap().iter().any(|record| record["action"] == action), "{action}");
    }
}

#[tokio::test]
async fn commands_and_jobs_are_told_to_who_may_see_them() {
    let hive = TestHive::start().await;
    let (blue, red) = (hive.new_team("blue").await, hive.new_team("red").await);
    let of_team = |team: &str| SatelliteOptions { team_id: Some(team.to_owned()), ..SatelliteOptions::default() };
    let one = hive.satellite_with("blue-server-01", of_team(&blue)).await;
    let other = hive.satellite_with("red-server-01", of_team(&red)).await;
    hive.rest().post("/api/v1/users", &json!({ "username": "anna", "role": "global_user" })).await.data();
    let member = json!({ "username": "anna", "role": "viewer" });
    hive.rest().put(&format!("/api/v1/teams/{blue}/members"), &member).await.data();
    let key = hive.new_api_key("anna").await;
    let (mut all, mut anna) = (admin(&hive).await, UiClient::open(address(&hive), &key).await);
    assert_eq!(anna.initial_pages().await, [1]);
    for client in [&mut all, &mut anna] {
        client.act("subscribe", json!({ "satellites": ["*"] })).await;
    }
    hive.exec(&other, "true").await;
    hive.exec(&one, "exit 3").await;
    let job = json!({ "targets": ["all"], "command": "true" });
    let job = hive.rest().post("/api/v1/jobs", &job).await.data();
    let of_blue = json!({ "targets": [one.name()], "command": "true" });
    let of_blue = hive.rest().post("/api/v1/jobs", &of_blue).await.data();
    let is_end = |job: &Value, message: &Value| {
        message["event"] == "job:progress"
            && message["data"]["id"] == job["id"]
            && message["data"]["status"] == "succeeded"
    };
    all.until("the job has ended", |message| is_end(&job, message)).await;
    anna.until("the job of her team has ended", |message| is_end(&of_blue, message)).await;
    let is_failure = |message: &Value| message["event"] == "command:updated" && message["data"]["status"] == "failed";
    let failed = anna.until("the command has failed", is_failure).await;
    assert_eq!((&failed["data"]["satellite_id"], &failed["data"]["exit_code"]), (&json!(one.id()), &json!(3)));
    let hidden = [other.id(), text(&job["id"])];
    let leaked: Vec<_> =
        anna.skipped().filter(|message| hidden.iter().any(|id| message.to_string().contains(id))).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert!(all.skipped().any(|message| message.to_string().contains(other.id())));
}

#[tokio::test]
async fn a_revoked_key_closes_its_socket_within_a_second() {
    let hive = TestHive::start().await;
    let key = hive.rest().post("/api/v1/api-keys", &json!({ "name": "wall" })).await.data();
    let mut client = UiClient::open(address(&hive), text(&key["api_key"])).await;
    client.initial_pages().await;
    let begin = Instant::now();
    assert!(hive.rest().delete(&format!("/api/v1/api-keys/{}", text(&key["info"]["id"]))).await.is_success());
    assert_eq!(client.closed().await, Some(4401));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn output_that_is_not_read_costs_the_server_no_memory() {
    // A program waits this long for who may type, and then goes on without them.
    let args = vec!["--claim-stall".into(), "0.2".into()];
    let mut hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let satellite = hive.satellite("web-server-01").await;
    let mut client = UiClient::open_slow(address(&hive), hive.api_key()).await;
    client.initial_pages().await;
    let attached = client.act("session:create", json!({ "satellite_id": satellite.id(), "shell": "/bin/sh" })).await;
    let id = attached["session_id"].clone();
    let before = procfs::resident(hive.server().pid());
    let done = hive.dir().join("done");
    let flood = format!("yes 0123456789012345678901234567890123456789 | head -c 48000000; touch {}\n", done.display());
    client.act("session:input", json!({ "session_id": id, "input": BASE64.encode(flood.as_bytes()) })).await;
    until("the program has written everything", async || done.exists()).await;
    let grown = procfs::resident(hive.server().pid()).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
    client.event("session:reset").await;
    client.send("session:close", json!({ "session_id": id })).await;
    assert_eq!(client.event("session:ended").await["session_id"], id);
}
