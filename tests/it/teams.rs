//! What belongs to another team looks as if it were not there.

use std::time::Duration;

use hive_testkit::{Rest, SatelliteOptions, TestHive};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::text;

/// Somebody who is in this team alone.
async fn member(hive: &TestHive, username: &str, team: &str, role: &str) -> Rest {
    hive.server_command(&["user", "create", "--username", username]).await;
    hive.server_command(&["team", "add", "--team", team, "--username", username, "--role", role]).await;
    hive.anonymous().with("x-api-key", &hive.new_api_key(username).await)
}

async fn names(caller: &Rest) -> Vec<String> {
    let list = caller.get("/api/v1/satellites").await.data();
    list.as_array().unwrap().iter().map(|satellite| text(&satellite["name"]).to_owned()).collect()
}

#[tokio::test]
async fn a_member_sees_and_uses_the_teams_satellites_and_no_others() {
    let hive = TestHive::start().await;
    let created = hive.server_command(&["team", "create", "--slug", "ops"]).await;
    let dev = hive.new_team("dev").await;
    let of_team = async |name: &str, team: &str| {
        let options = SatelliteOptions { team_id: Some(team.to_owned()), ..SatelliteOptions::default() };
        hive.satellite_with(name, options).await
    };
    let ours = of_team("satellite-ops", text(&created["id"])).await;
    let theirs = of_team("satellite-dev", &dev).await;
    let global = hive.satellite("satellite-all").await;
    let operator = member(&hive, "olga", "ops", "operator").await;

    assert_eq!(names(&operator).await, ["satellite-ops"]);
    let ran = operator.post(&ours.path("/exec"), &json!({"command": "echo ours"})).await.data();
    assert_eq!(ran["stdout"], "ours\n");
    // A command that exists, so that its 404 is about the team.
    let command = hive.exec(&theirs, "echo theirs").await;
    for other in [&theirs, &global] {
        for (method, rest, body) in [
            ("GET", "", Value::Null),
            ("PUT", "", json!({"tags": ["mine"]})),
            ("DELETE", "", Value::Null),
            ("POST", "/exec", json!({"command": "true"})),
            ("POST", "/exec?wait=false", json!({"command": "true"})),
            ("POST", "/power", json!({"action": "reboot"})),
            ("POST", "/disconnect", json!({})),
            ("GET", "/commands", Value::Null),
        ] {
            let answer = operator.call(method, &other.path(rest)).json(&body).answer().await;
            assert_eq!(answer.status, 404, "{method} {rest}: {}", answer.text());
        }
    }
    let of_command = format!("/api/v1/commands/{}", text(&command["command_id"]));
    assert_eq!(operator.get(&of_command).await.status, 404);
    assert_eq!(operator.post(&format!("{of_command}/cancel"), &json!({})).await.status, 404);
    let all = operator.post("/api/v1/exec", &json!({"targets": ["all"], "command": "true"})).await.data();
    assert_eq!(all.as_array().map(Vec::len), Some(1), "all are all that the caller may use");
    let by_name = operator.post("/api/v1/exec", &json!({"targets": ["satellite-dev"], "command": "true"})).await;
    assert_eq!(by_name.status, 404);
}

#[tokio::test]
async fn a_role_in_the_team_bounds_what_a_member_may_do() {
    let hive = TestHive::start().await;
    let team = hive.new_team("ops").await;
    let options = SatelliteOptions { team_id: Some(team.clone()), ..SatelliteOptions::default() };
    let satellite = hive.satellite_with("satellite-ops", options).await;
    let viewer = member(&hive, "vera", "ops", "viewer").await;
    let operator = member(&hive, "olga", "ops", "operator").await;
    let admin = member(&hive, "adam", "ops", "admin").await;

    assert_eq!(viewer.get(&satellite.path("")).await.data()["name"], "satellite-ops");
    let exec = json!({"command": "true"});
    assert_eq!(viewer.post(&satellite.path("/exec"), &exec).await.refusal(), (403, "FORBIDDEN".into()));
    assert_eq!(operator.post(&satellite.path("/exec"), &exec).await.data()["status"], "succeeded");

    let token = json!({"scope": "team", "team_id": team});
    let tokens = "/api/v1/registration-tokens";
    assert_eq!(operator.post(tokens, &token).await.refusal().0, 403);
    assert!(admin.post(tokens, &token).await.is_success());
    assert_eq!(admin.post(tokens, &json!({"scope": "global"})).await.refusal().0, 403);
    assert_eq!(operator.delete(&satellite.path("")).await.refusal().0, 403);
    assert!(admin.delete(&satellite.path("")).await.is_success());
}

#[tokio::test]
async fn a_team_says_what_its_users_may_do_and_it_holds_at_once() {
    let hive = TestHive::start().await;
    let team = hive.new_team("ops").await;
    let options = SatelliteOptions { team_id: Some(team.clone()), ..SatelliteOptions::default() };
    let mut satellite = hive.satellite_with("satellite-ops", options).await;
    let olga = member(&hive, "olga", "ops", "viewer").await;
    let path = format!("/api/v1/teams/{team}");
    let (members, exec) = (format!("{path}/members"), json!({ "command": "true" }));
    let put = json!({ "username": "olga", "role": "team_user" });
    let member = hive.rest().put(&members, &put).await.data();
    assert_eq!((&member["role"], &member["follows_team"]), (&json!("viewer"), &json!(true)));
    assert_eq!(olga.post(&satellite.path("/exec"), &exec).await.status, 403);

    let changed = hive.cli(["teams", "update", "ops", "--team-user", "operator", "-o", "json"]).await;
    assert_eq!(changed.expect_success().json()["team_user"], "operator");
    assert_eq!(olga.post(&satellite.path("/exec"), &exec).await.data()["status"], "succeeded");
    let listed = hive.rest().get(&members).await.data();
    assert_eq!((&listed[0]["role"], &listed[0]["team_role"]), (&json!("operator"), &json!("team_user")));

    let mut events = olga.call("GET", "/api/v1/events").events().await;
    satellite.process().kill();
    hive.until_online(&satellite, false).await;
    let queued = olga.post(&satellite.path("/exec?wait=false"), &exec).await.data();
    let changed = hive.rest().put(&path, &json!({ "team_user": "viewer" })).await.data();
    assert_eq!((&changed["team_user"], &changed["revoked"]["commands"]), (&json!("viewer"), &json!(1)));
    let over = async { while events.next().await.is_some() {} };
    timeout(Duration::from_secs(1), over).await.expect("streams of more rights end at once");
    assert_eq!(hive.command(text(&queued["command_id"])).await["status"], "cancelled");
    assert_eq!(olga.post(&satellite.path("/exec"), &exec).await.status, 403);
    for wrong in ["admin", "team_user", "boss"] {
        assert_eq!(hive.rest().put(&path, &json!({ "team_user": wrong })).await.status, 400, "{wrong}");
    }
    assert_eq!(olga.put(&path, &json!({ "team_user": "operator" })).await.status, 403);
}

#[tokio::test]
async fn a_satellite_moves_to_another_team_and_needs_no_new_token() {
    let hive = TestHive::start().await;
    let (ops, dev) = (hive.new_team("ops").await, hive.new_team("dev").await);
    let options = SatelliteOptions { team_id: Some(ops), ..SatelliteOptions::default() };
    let mut satellite = hive.satellite_with("satellite-ops", options).await;
    let (olga, dora) = (member(&hive, "olga", "ops", "admin").await, member(&hive, "dora", "dev", "operator").await);

    let to_dev = json!({"team_id": dev});
    let by_the_team = olga.call("PUT", &satellite.path("")).json(&to_dev).answer().await;
    assert_eq!(by_the_team.refusal().0, 403, "teams do not give satellites away");
    let moved = hive.rest().call("PUT", &satellite.path("")).json(&to_dev).answer().await.data();
    assert_eq!((text(&moved["team_id"]), text(&moved["satellite_type"])), (dev.as_str(), "team"));
    assert!(names(&olga).await.is_empty());
    assert_eq!(names(&dora).await, ["satellite-ops"]);

    hive.until_online(&satellite, true).await;
    satellite.process().kill();
    satellite.restart().await;
    hive.until_online(&satellite, true).await;
    let ran = dora.post(&satellite.path("/exec"), &json!({"command": "echo moved"})).await.data();
    assert_eq!(ran["stdout"], "moved\n");
}
