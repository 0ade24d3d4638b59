//! The REST API: authentication, errors and the envelope.

use std::time::Duration;

use hive_core::wire::api::{NewUser, PlatformRole, UserCreate};
use hive_core::wire::id::Seed;
use hive_core::wire::{ApiKeyId, AuditId, CommandId, RegistrationTokenId, SatelliteId, SessionId};
use serde_json::json;

use super::harness::TestServer;

const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

/// Routes of `/api/v1` that need authentication.
pub(crate) fn routes() -> Vec<(&'static str, String)> {
    let satellite = format!("/api/v1/satellites/{}", SatelliteId::new(SEED));
    let command = format!("/api/v1/commands/{}", CommandId::new(SEED));
    let session = format!("/api/v1/sessions/{}", SessionId::new(SEED));
    vec![
        ("GET", "/api/v1/auth/me".into()),
        ("GET", "/api/v1/satellites".into()),
        ("GET", "/api/v1/satellites/by-tag/web".into()),
        ("GET", satellite.clone()),
        ("PUT", satellite.clone()),
        ("DELETE", satellite.clone()),
        ("POST", format!("{satellite}/disconnect")),
        ("POST", format!("{satellite}/exec")),
        ("POST", format!("{satellite}/power")),
        ("GET", format!("{satellite}/commands")),
        ("GET", format!("{satellite}/sessions")),
        ("GET", "/api/v1/sessions".into()),
        ("POST", "/api/v1/sessions".into()),
        ("GET", session.clone()),
        ("DELETE", session.clone()),
        ("POST", format!("{session}/input")),
        ("POST", format!("{session}/resize")),
        ("GET", format!("{session}/attach")),
        ("POST", "/api/v1/exec".into()),
        ("GET", "/api/v1/events".into()),
        ("GET", command.clone()),
        ("POST", format!("{command}/cancel")),
        ("GET", "/api/v1/registration-tokens".into()),
        ("POST", "/api/v1/registration-tokens".into()),
        ("DELETE", format!("/api/v1/registration-tokens/{}", RegistrationTokenId::new(SEED))),
        ("GET", "/api/v1/teams".into()),
        ("POST", "/api/v1/teams".into()),
        ("GET", "/api/v1/api-keys".into()),
        ("POST", "/api/v1/api-keys".into()),
        ("DELETE", format!("/api/v1/api-keys/{}", ApiKeyId::new(SEED))),
        ("GET", "/api/v1/audit/logs".into()),
        ("POST", "/api/v1/audit/logs".into()),
        ("GET", format!("/api/v1/audit/logs/{}", AuditId::new(SEED))),
        ("GET", "/api/v1/audit/export".into()),
        ("GET", "/api/v1/audit/verify".into()),
    ]
}

#[tokio::test]
async fn every_route_needs_authentication() {
    let server = TestServer::start().await;
    for (method, path) in routes() {
        let body = (method != "GET").then(|| json!({ "nonsense": true }));
        let answer = server.call(method, &path, None, body.clone()).await;
        answer.assert_error(401, "AUTH_REQUIRED");
        let answer = server.call(method, &path, Some("hive_key_x"), body).await;
        answer.assert_error(401, "AUTH_INVALID");
    }
}

#[tokio::test]
async fn a_key_may_come_in_either_header_and_a_login_as_a_bearer_token() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let otto = UserCreate { username: "otto".into(), role: PlatformRole::GlobalUser };
    let NewUser { user, password } = server.hive.as_system().identity().user_create(otto).await.unwrap();
    let login = json!({ "username": user.username, "password": password });
    let login = server.call("POST", "/api/v1/auth/login", None, Some(login)).await;
    let jwt = login.json()["data"]["token"].as_str().unwrap().to_owned();
    let check = async |header: &str, value: String, name: &str| {
        let answer = server.anonymous().with(header, value).get("/api/v1/auth/me").await;
        assert_eq!(answer.json()["data"]["user"]["username"], name, "{answer:?}");
    };
    check("x-api-key", key.clone(), "anna").await;
    check("authorization", format!("Bearer {key}"), "anna").await;
    check("authorization", format!("bearer {jwt}"), "otto").await;
}

#[tokio::test]
async fn wrong_credentials_have_one_error_code() {
    let server = TestServer::start().await;
    server.admin().await;
    for name in ["anna", "nobody"] {
        let login = json!({ "username": name, "password": "wrong" });
        let answer = server.call("POST", "/api/v1/auth/login", None, Some(login)).await;
        answer.assert_error(401, "AUTH_INVALID");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    for value in ["Basic YTpi", "Bearer", "Bearer nonsense", "Bearer hive_key_nonsense"] {
        let answer = server.anonymous().with("authorization", value).get("/api/v1/auth/me").await;
        answer.assert_error(401, "AUTH_INVALID");
    }
}

#[tokio::test]
async fn not_found_has_the_envelope() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    server.get(&key, "/api/v1/nothing").await.assert_error(404, "NOT_FOUND");
    server.get(&key, "/").await.assert_error(404, "NOT_FOUND");
    server.get(&key, "/api/v1/exec").await.assert_error(405, "INVALID_INPUT");
    let unknown = format!("/api/v1/satellites/{}", SatelliteId::new(SEED));
    server.get(&key, &unknown).await.assert_error(404, "SATELLITE_NOT_FOUND");
    let unknown = format!("/api/v1/commands/{}", CommandId::new(SEED));
    server.get(&key, &unknown).await.assert_error(404, "NOT_FOUND");
}

#[tokio::test]
async fn an_invalid_input_is_named() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let check = async |method: &str, path: &str, body: Option<serde_json::Value>, field: &str| {
        let answer = server.call(method, path, Some(&key), body).await;
        answer.assert_error(400, "INVALID_INPUT");
        assert_eq!(answer.json()["error"]["details"]["field"], field, "{answer:?}");
    };
    let satellite = server.register("web-server-01", None).await;
    let satellite = format!("/api/v1/satellites/{}", satellite.id);
    check("GET", "/api/v1/satellites/web", None, "id").await;
    check("GET", "/api/v1/satellites?page=0", None, "page").await;
    check("GET", "/api/v1/satellites?per_page=1001", None, "per_page").await;
    check("GET", "/api/v1/satellites?per_page=many", None, "per_page").await;
    check("GET", "/api/v1/satellites?status=asleep", None, "status").await;
    check("GET", "/api/v1/satellites?team=ours", None, "team").await;
    check("GET", "/api/v1/audit/logs?since=yesterday", None, "since").await;
    check("POST", &format!("{satellite}/exec?wait=perhaps"), Some(json!({ "command": "true" })), "wait").await;
    check("POST", &format!("{satellite}/exec?encoding=hex"), Some(json!({ "command": "true" })), "encoding").await;
    check("POST", &format!("{satellite}/exec"), Some(json!({})), "command").await;
    check("POST", &format!("{satellite}/exec"), None, "command").await;
    check("POST", &format!("{satellite}/power"), Some(json!({ "action": "explode" })), "action").await;
    check("POST", "/api/v1/exec", Some(json!({ "targets": ["tag:"], "command": "true" })), "targets").await;
    check("PUT", &satellite, Some(json!({ "name": "short" })), "name").await;
}

#[tokio::test]
async fn a_form_is_not_accepted_as_a_body() {
    let server = TestServer::start().await;
    let form = server.rest(&server.admin().await).call("POST", "/api/v1/teams").body(r#"{"slug":"ours"}"#);
    let answer = form.with("content-type", "application/x-www-form-urlencoded").answer().await;
    answer.assert_error(400, "INVALID_INPUT");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let slug = "x".repeat(1024 * 1024);
    server.post(&key, "/api/v1/teams", json!({ "slug": slug })).await.assert_error(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn a_satellite_of_another_team_is_not_found() {
    let server = TestServer::start().await;
    let (red, red_key) = server.team("red").await;
    let (_, blue_key) = server.team("blue").await;
    let satellite = server.register("red-server-01", Some(&red)).await;
    let path = format!("/api/v1/satellites/{}", satellite.id);
    assert_eq!(server.get(&red_key, &path).await.json()["data"]["name"], "red-server-01");
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("PUT", path.clone(), Some(json!({ "tags": ["mine"] }))),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/disconnect"), None),
        ("POST", format!("{path}/exec"), Some(json!({ "command": "true" }))),
        ("POST", format!("{path}/power"), Some(json!({ "action": "reboot" }))),
        ("GET", format!("{path}/commands"), None),
    ] {
        let answer = server.call(method, &path, Some(&blue_key), body).await;
        answer.assert_error(404, "SATELLITE_NOT_FOUND");
    }
    let list = server.get(&blue_key, "/api/v1/satellites").await.json();
    assert_eq!((&list["data"], &list["pagination"]["total"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn satellites_are_listed_filtered_and_changed() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    for name in ["web-server-01", "web-server-02", "db-server-0001"] {
        let satellite = server.register(name, None).await;
        let tags: &[&str] = if name.starts_with("web") { &["web", "prod"] } else { &["prod"] };
        let path = format!("/api/v1/satellites/{}", satellite.id);
        let answer = server.call("PUT", &path, Some(&key), Some(json!({ "tags": tags }))).await;
        assert_eq!(answer.json()["data"]["name"], name, "{answer:?}");
    }
    let check = async |query: &str, total: u64| {
        let answer = server.get(&key, &format!("/api/v1/satellites?{query}")).await;
        assert_eq!(answer.json()["pagination"]["total"], total, "{query}: {answer:?}");
    };
    check("", 3).await;
    check("tag=web", 2).await;
    check("tag=prod&tag=web", 2).await;
    check("search=db-", 1).await;
    check("status=inactive", 3).await;
    check("status=online", 0).await;
    check("online=false", 3).await;
    let page = server.get(&key, "/api/v1/satellites?per_page=2&page=2").await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["pagination"], json!({ "page": 2, "per_page": 2, "total": 3, "total_pages": 2 }));
    let tagged = server.get(&key, "/api/v1/satellites/by-tag/web").await.json();
    assert_eq!(tagged["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn keys_tokens_and_teams_are_created_listed_and_revoked() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let check = async |path: &str, body: serde_json::Value, id: &str| {
        let created = server.post(&key, path, body).await;
        assert_eq!(created.status, 201, "{created:?}");
        assert_ne!(server.get(&key, path).await.json()["data"], json!([]));
        let id = created.json()["data"].pointer(id).unwrap().as_str().unwrap().to_owned();
        format!("{path}/{id}")
    };
    check("/api/v1/teams", json!({ "slug": "ours" }), "/id").await;
    let token = check("/api/v1/registration-tokens", json!({ "scope": "global" }), "/token_id").await;
    let revoked = server.call("DELETE", &token, Some(&key), None).await;
    assert_eq!(revoked.json(), json!({ "success": true, "data": null }));
    let second = check("/api/v1/api-keys", json!({ "name": "second" }), "/info/id").await;
    assert_eq!(server.call("DELETE", &second, Some(&key), None).await.status, 200);
}

#[tokio::test]
async fn the_audit_log_is_read_verified_and_exported() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let note = json!({ "action": "note.add", "target": { "type": "note", "id": "1" }, "details": { "text": "hello" } });
    let made = server.post(&key, "/api/v1/audit/logs", note).await;
    assert_eq!(made.status, 201, "{made:?}");
    let found = server.get(&key, "/api/v1/audit/logs?action=audit.note").await.json();
    assert_eq!(found["data"][0]["actor"]["name"], "anna", "{found}");
    let entry = format!("/api/v1/audit/logs/{}", found["data"][0]["id"].as_str().unwrap());
    assert_eq!(server.get(&key, &entry).await.json()["data"], found["data"][0]);
    assert_eq!(server.get(&key, "/api/v1/audit/verify").await.json()["data"]["valid"], true);
    let export = server.get(&key, "/api/v1/audit/export").await;
    assert_eq!(export.headers["content-type"], "application/jsonl");
    let export = export.text();
    assert!(export.ends_with('\n') && export.lines().last().unwrap().contains("\"manifest\""));
}

#[tokio::test]
async fn health_needs_no_authentication() {
    let server = TestServer::start().await;
    for path in ["/health", "/health/live", "/health/ready", "/api/health"] {
        let answer = server.call("GET", path, None, None).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "status": "ok" })), "{path}");
    }
}

#[tokio::test]
async fn events_are_streamed_until_the_server_stops() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let mut events = server.send_request("GET", "/api/v1/events", &key, json!({})).await;
    events.read_until("content-type: text/event-stream").await;
    drop(server.online(&satellite).await);
    events.read_until("event: satellite:online\ndata: {\"event\":\"satellite:online\"").await;
    events.read_until("event: satellite:offline\n").await;
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), events.read_to_end()).await.expect("the stream ends with the server");
}

#[tokio::test]
async fn responses_are_not_cached() {
    let server = TestServer::start().await;
    let answer = server.post(&server.admin().await, "/api/v1/api-keys", json!({})).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}
