//! API keys of users, from outside: limits, rotation, and what ends with them.

use hive_testkit::{Rest, ServerOptions, TestHive};
use serde_json::{Value, json};

use crate::support::text;

const KEYS: &str = "/api/v1/api-keys";

fn by(hive: &TestHive, key: &Value) -> Rest {
    hive.anonymous().with("x-api-key", text(&key["api_key"]))
}

async fn create(maker: &Rest, request: Value) -> Value {
    maker.post(KEYS, &request).await.data()
}

#[tokio::test]
async fn a_limited_key_shows_its_limits_and_keeps_to_them() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let request = json!({ "name": "ci", "scopes": ["satellites.read"], "rate_per_minute": 60, "expires_in_hours": 1 });
    let made = create(&hive.rest(), request).await;
    let info = &made["info"];
    assert_eq!((&info["scopes"], &info["rate_per_minute"]), (&json!(["satellites.read"]), &json!(60)));
    let key = by(&hive, &made);
    assert_eq!(key.get(&satellite.path("")).await.status, 200);
    let exec = key.post(&satellite.path("/exec"), &json!({ "command": "true" })).await;
    assert_eq!(exec.refusal(), (403, "FORBIDDEN".into()));
    assert_eq!(key.get(KEYS).await.refusal().0, 403, "api_keys.own is not among its scopes");
    let listed = hive.rest().get(KEYS).await.data();
    let listed = listed.as_array().unwrap().iter().find(|key| key["id"] == info["id"]).unwrap().clone();
    assert!(listed["last_used_at"].is_string(), "{listed}");
    let unlimited = create(&hive.rest(), json!({ "name": "all" })).await;
    let fields: Vec<_> = unlimited["info"].as_object().unwrap().keys().cloned().collect();
    let expected = ["created_at", "expires_at", "id", "name", "parent_id", "revoked_at", "user_id"];
    assert_eq!(fields, expected, "as before, and the key that it was made with");
}

#[tokio::test]
async fn an_unknown_scope_is_refused_with_those_that_are_known() {
    let hive = TestHive::start().await;
    let refused = hive.rest().post(KEYS, &json!({ "scopes": ["satellites.red"] })).await;
    let error = refused.json();
    let message = text(&error["error"]["message"]).to_owned();
    assert_eq!(refused.refusal().1, "INVALID_INPUT");
    assert!(message.contains("satellites.red") && message.contains("commands.read"), "{message}");
}

#[tokio::test]
async fn a_key_for_other_addresses_is_refused_like_a_wrong_one() {
    let hive = TestHive::start().await;
    let here = create(&hive.rest(), json!({ "addresses": ["127.0.0.0/8", "::1"] })).await;
    assert_eq!(by(&hive, &here).get("/api/v1/auth/me").await.status, 200);
    let elsewhere = create(&hive.rest(), json!({ "addresses": ["192.0.2.0/24"] })).await;
    assert_eq!(by(&hive, &elsewhere).get("/api/v1/auth/me").await.refusal(), (401, "AUTH_INVALID".into()));
}

#[tokio::test]
async fn a_rotated_key_overlaps_and_a_revoked_one_takes_along_what_it_made() {
    let hive = TestHive::start().await;
    let first = create(&hive.rest(), json!({ "name": "deploy" })).await;
    let id = text(&first["info"]["id"]);
    let second = hive.rest().post(&format!("{KEYS}/{id}/rotate"), &json!({ "overlap_seconds": 600 })).await.data();
    for key in [&first, &second] {
        assert_eq!(by(&hive, key).get("/api/v1/auth/me").await.status, 200);
    }
    let third = hive.rest().call("POST", &format!("{KEYS}/{id}/rotate")).answer().await.data();
    // A rotation without an overlap ends the one before too.
    for (key, status) in [(&first, 401), (&second, 401), (&third, 200)] {
        assert_eq!(by(&hive, key).get("/api/v1/auth/me").await.status, status);
    }
    let key = by(&hive, &third);
    let child = create(&key, json!({ "name": "child" })).await;
    assert_eq!(child["info"]["parent_id"], first["info"]["id"]);
    // What a key makes beside keys: a token, and a command that waits for its satellite.
    let token = json!({ "scope": "global" });
    key.post("/api/v1/registration-tokens", &token).await.data();
    let satellite = hive.satellite("web-server-01").await;
    let mut satellite = satellite;
    satellite.process().kill();
    hive.until_online(&satellite, false).await;
    let queued = key.post(&satellite.path("/exec?wait=false"), &json!({ "command": "true" })).await.data();
    let revoked = hive.rest().delete(&format!("{KEYS}/{id}")).await.data();
    assert_eq!(revoked, json!({ "commands": 1, "job_targets": 0, "registration_tokens": 1, "api_keys": 1 }));
    assert_eq!(by(&hive, &child).get("/api/v1/auth/me").await.status, 401);
    let command = hive.command(text(&queued["command_id"])).await;
    assert_eq!(command["status"], "cancelled", "{command}");
    assert!(text(&command["error"]["message"]).starts_with("actor_disabled"), "{command}");
}

#[tokio::test]
async fn who_is_disabled_loses_queued_work_and_tokens_and_the_answer_counts_them() {
    let hive = TestHive::start().await;
    let olga = hive.rest().post("/api/v1/users", &json!({ "username": "olga", "role": "global_admin" })).await.data();
    let key = hive.anonymous().with("x-api-key", &hive.new_api_key("olga").await);
    key.post("/api/v1/registration-tokens", &json!({ "scope": "global" })).await.data();
    let mut satellite = hive.satellite("web-server-01").await;
    satellite.process().kill();
    hive.until_online(&satellite, false).await;
    key.post(&satellite.path("/exec?wait=false"), &json!({ "command": "true" })).await.data();
    let path = format!("/api/v1/users/{}", text(&olga["user"]["id"]));
    let disabled = hive.rest().put(&path, &json!({ "disabled": true })).await.data();
    let expected = json!({ "commands": 1, "job_targets": 0, "registration_tokens": 1, "api_keys": 0 });
    assert_eq!(disabled["revoked"], expected, "{disabled}");
    assert_eq!(key.get("/api/v1/auth/me").await.status, 401);
    let record = hive.rest().get("/api/v1/audit/logs?action=user.update").await.data();
    assert_eq!(record[0]["details"]["revoked"]["reason"], "actor_disabled", "{record}");
    let enabled = hive.rest().put(&path, &json!({ "disabled": false })).await.data();
    assert!(enabled.get("revoked").is_none(), "{enabled}");
    assert_eq!(key.get("/api/v1/auth/me").await.status, 200, "the key is valid again");
}

#[tokio::test]
async fn a_member_has_the_role_under_both_names() {
    let hive = TestHive::start().await;
    let team = hive.new_team("ops").await;
    hive.rest().post("/api/v1/users", &json!({ "username": "olga", "role": "global_user" })).await.data();
    let path = format!("/api/v1/teams/{team}/members");
    for (word, role, team_role) in [
        ("team_admin", "admin", "team_admin"),
        ("operator", "operator", "team_user"),
        ("team_user", "viewer", "team_user"),
    ] {
        let member = hive.rest().put(&path, &json!({ "username": "olga", "role": word })).await.data();
        assert_eq!((&member["role"], &member["team_role"]), (&json!(role), &json!(team_role)));
    }
    let listed = hive.rest().get(&path).await.data();
    assert_eq!((&listed[0]["role"], &listed[0]["team_role"]), (&json!("viewer"), &json!("team_user")));
    assert_eq!(hive.rest().put(&path, &json!({ "username": "olga", "role": "boss" })).await.refusal().0, 400);
}

#[tokio::test]
async fn the_key_of_the_environment_is_an_admin_and_is_stored_nowhere() {
    let key = "7hQ2-mVx9-Rk4T-cW8z-Pn3J-Lb6D-Yf";
    let env = vec![("HIVE_AUTH__ADMIN_API_KEY".to_owned(), key.to_owned())];
    let mut hive = TestHive::start_with(ServerOptions { env, ..ServerOptions::default() }).await;
    for caller in [hive.anonymous().with("x-api-key", key), hive.anonymous().bearer(key)] {
        caller.get("/api/v1/satellites").await.data();
    }
    let admin = hive.anonymous().with("x-api-key", key);
    admin.post("/api/v1/teams", &json!({ "slug": "ops" })).await.data();
    let record = admin.get("/api/v1/audit/logs?action=team.create").await.data();
    assert_eq!(
        (&record[0]["actor"]["type"], &record[0]["actor"]["id"]),
        (&json!("configured"), &json!("admin_api_key"))
    );
    // The comparison is of the whole key.
    assert_eq!(hive.anonymous().with("x-api-key", &key[..31]).get("/api/v1/satellites").await.status, 401);
    assert!(!hive.server().log().contains(key));
}
