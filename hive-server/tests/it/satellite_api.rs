//! The HTTPS API for satellites: registration, heartbeats, registration tokens and errors.

use hive_core::hive::Settings;
use hive_server::Limits;
use hive_test_peers::Answer;
use serde_json::{Value, json};

use super::harness::TestServer;

async fn bearer(server: &TestServer, method: &str, path: &str, token: &str, body: Value) -> Answer {
    server.anonymous().bearer(token).call(method, path).json(&body).answer().await
}

async fn register(server: &TestServer, token: &str, name: &str) -> Answer {
    let body = json!({ "name": name, "system_info": { "os": "linux", "node_version": "22" } });
    bearer(server, "POST", "/api/satellites/register", token, body).await
}

#[tokio::test]
async fn a_token_gives_one_valid_key() {
    let server = TestServer::start().await;
    let token = server.registration_token(None).await;
    let answer = register(&server, &token, "web-server-01").await.json();
    let satellite = &answer["satellite"];
    assert_eq!((&answer["success"], &satellite["status"]), (&json!(true), &json!("inactive")));
    let (id, key) = (satellite["id"].as_str().unwrap(), satellite["api_key"].as_str().unwrap());
    let heartbeat = bearer(&server, "POST", &format!("/api/satellites/{id}/heartbeat"), key, json!({})).await;
    assert_eq!(heartbeat.json(), json!({ "success": true, "status": "active", "config_version": 0 }));
    let second = register(&server, &token, "web-server-02").await;
    second.assert_satellite_error(409, "registration_token_used");
    assert!(second.json()["instructions"].as_str().unwrap().contains("hive tokens create"));
}

#[tokio::test]
async fn each_refused_registration_has_its_error() {
    let server = TestServer::start().await;
    let body = Some(json!({ "name": "web-server-01" }));
    let missing = server.call("POST", "/api/satellites/register", None, body).await;
    missing.assert_satellite_error(401, "registration_token_required");
    register(&server, "nonsense", "web-server-01").await.assert_satellite_error(401, "registration_token_invalid");
    let token = server.registration_token(None).await;
    let mixed = token.replace("_global_", "_team_");
    register(&server, &mixed, "web-server-01").await.assert_satellite_error(403, "scope_mismatch");
    register(&server, &token, "Web").await.assert_satellite_error(400, "invalid_input");
    let nameless = bearer(&server, "POST", "/api/satellites/register", &token, json!({})).await;
    nameless.assert_satellite_error(400, "invalid_input");
    assert_eq!(register(&server, &token, "web-server-01").await.status, 200, "none of them used the token");
}

#[tokio::test]
async fn a_satellite_cannot_send_heartbeats_for_another_one() {
    let server = TestServer::start().await;
    let (one, other) = (server.register("web-server-01", None).await, server.register("web-server-02", None).await);
    let path = format!("/api/satellites/{}/heartbeat", other.id);
    bearer(&server, "POST", &path, &one.api_key, json!({})).await.assert_satellite_error(404, "satellite_not_found");
    bearer(&server, "POST", &path, "nonsense", json!({})).await.assert_satellite_error(401, "auth_invalid");
    let nameless = server.call("POST", &path, None, Some(json!({}))).await;
    nameless.assert_satellite_error(401, "auth_required");
}

#[tokio::test]
async fn tokens_are_created_listed_and_revoked_under_the_documented_paths() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let (team, operator) = server.team("red").await;
    for path in [
        "/api/satellites/global/registration-tokens".to_owned(),
        format!("/api/teams/{}/satellites/registration-tokens", team.id),
    ] {
        server.call("GET", &path, None, None).await.assert_satellite_error(401, "auth_required");
        server.post(&operator, &path, json!({})).await;
        let made = server.call("POST", &path, Some(&key), None).await.json();
        assert!(made["token"].as_str().unwrap().starts_with("hive_satellite_"), "{made}");
        let one = format!("{path}/{}", made["token_id"].as_str().unwrap());
        assert_eq!(server.get(&key, &path).await.json()["tokens"].as_array().unwrap().len(), 1);
        let revoked = server.call("DELETE", &one, Some(&key), None).await;
        assert_eq!(revoked.json(), json!({ "success": true }));
        let token = made["token"].as_str().unwrap();
        register(&server, token, "web-server-01").await.assert_satellite_error(401, "registration_token_revoked");
    }
}

#[tokio::test]
async fn the_registration_method_needs_no_authentication() {
    let server = TestServer::start().await;
    let status = server.call("GET", "/api/satellites/register/status", None, None).await.json();
    assert_eq!((&status["registration_method"], &status["token_required"]), (&json!("token_based"), &json!(true)));
    assert_eq!(status["supported_prefixes"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_registration_above_the_rate_gets_a_retry_delay() {
    let server = TestServer::with(Limits::default().handshake_rate(1), Settings::default()).await;
    assert_eq!(register(&server, "any", "web-server-01").await.status, 401);
    let answer = register(&server, "any", "web-server-01").await;
    answer.assert_satellite_error(503, "unavailable");
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
}
