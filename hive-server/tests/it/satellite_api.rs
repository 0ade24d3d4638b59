//! The HTTPS API for satellites: registration, heartbeats, and refusals that say what to do next.

use axum::body::Body;
use axum::http::Request;
use hive_core::hive::Settings;
use hive_server::Limits;
use serde_json::{Value, json};

use super::harness::{Answer, TestServer, request};

async fn bearer(server: &TestServer, method: &str, path: &str, token: &str, body: Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    server.call(request).await
}

async fn register(server: &TestServer, token: &str, name: &str) -> Answer {
    let body = json!({ "name": name, "system_info": { "os": "linux", "node_version": "22" } });
    bearer(server, "POST", "/api/satellites/register", token, body).await
}

#[tokio::test]
async fn a_token_buys_one_key_and_the_key_is_good() {
    let server = TestServer::start().await;
    let token = server.registration_token(None).await;
    let answer = register(&server, &token, "web-server-01").await.json();
    let satellite = &answer["satellite"];
    assert_eq!((&answer["success"], &satellite["status"]), (&json!(true), &json!("inactive")));
    let (id, key) = (satellite["id"].as_str().unwrap(), satellite["api_key"].as_str().unwrap());
    let heartbeat = bearer(&server, "POST", &format!("/api/satellites/{id}/heartbeat"), key, json!({})).await;
    assert_eq!(heartbeat.json(), json!({ "success": true, "status": "active", "config_version": 0 }));
    let second = register(&server, &token, "web-server-02").await;
    second.assert_refusal(409, "registration_token_used");
    assert!(second.json()["instructions"].as_str().unwrap().contains("hive tokens create"));
}

#[tokio::test]
async fn every_refusal_says_what_is_wrong() {
    let server = TestServer::start().await;
    let body = Some(json!({ "name": "web-server-01" }));
    let missing = server.call(request("POST", "/api/satellites/register", None, body)).await;
    missing.assert_refusal(401, "registration_token_required");
    register(&server, "nonsense", "web-server-01").await.assert_refusal(401, "registration_token_invalid");
    let token = server.registration_token(None).await;
    let mixed = token.replace("_global_", "_team_");
    register(&server, &mixed, "web-server-01").await.assert_refusal(403, "scope_mismatch");
    register(&server, &token, "Web").await.assert_refusal(400, "invalid_input");
    let nameless = bearer(&server, "POST", "/api/satellites/register", &token, json!({})).await;
    nameless.assert_refusal(400, "invalid_input");
    assert_eq!(register(&server, &token, "web-server-01").await.status, 200, "none of them spent the token");
}

#[tokio::test]
async fn a_satellite_knows_nothing_of_another_one() {
    let server = TestServer::start().await;
    let (one, other) = (server.register("web-server-01", None).await, server.register("web-server-02", None).await);
    let path = format!("/api/satellites/{}/heartbeat", other.id);
    bearer(&server, "POST", &path, &one.api_key, json!({})).await.assert_refusal(404, "satellite_not_found");
    bearer(&server, "POST", &path, "nonsense", json!({})).await.assert_refusal(401, "auth_invalid");
    let nameless = server.call(request("POST", &path, None, Some(json!({})))).await;
    nameless.assert_refusal(401, "auth_required");
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_by_the_published_paths() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let (team, operator) = server.team("red").await;
    for path in [
        "/api/satellites/global/registration-tokens".to_owned(),
        format!("/api/teams/{}/satellites/registration-tokens", team.id),
    ] {
        server.call(request("GET", &path, None, None)).await.assert_refusal(401, "auth_required");
        server.post(&operator, &path, json!({})).await;
        let made = server.call(request("POST", &path, Some(&key), None)).await.json();
        assert!(made["token"].as_str().unwrap().starts_with("hive_satellite_"), "{made}");
        let one = format!("{path}/{}", made["token_id"].as_str().unwrap());
        assert_eq!(server.get(&key, &path).await.json()["tokens"].as_array().unwrap().len(), 1);
        let revoked = server.call(request("DELETE", &one, Some(&key), None)).await;
        assert_eq!(revoked.json(), json!({ "success": true }));
        let token = made["token"].as_str().unwrap();
        register(&server, token, "web-server-01").await.assert_refusal(401, "registration_token_revoked");
    }
}

#[tokio::test]
async fn how_to_register_is_told_to_everybody() {
    let server = TestServer::start().await;
    let status = server.call(request("GET", "/api/satellites/register/status", None, None)).await.json();
    assert_eq!((&status["registration_method"], &status["token_required"]), (&json!("token_based"), &json!(true)));
    assert_eq!(status["supported_prefixes"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn who_finds_the_door_crowded_is_told_to_come_back() {
    let server = TestServer::with(Limits { handshake_rate: 1, ..Limits::default() }, Settings::default()).await;
    assert_eq!(register(&server, "any", "web-server-01").await.status, 401);
    let answer = register(&server, "any", "web-server-01").await;
    answer.assert_refusal(503, "unavailable");
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
}
