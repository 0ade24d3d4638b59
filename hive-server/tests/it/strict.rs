//! Strict parsing under `/api/v1`: unknown names and unknown words are refused, and named in the error.

use hive_core::wire::id::Seed;
use hive_core::wire::{SatelliteId, SessionId, TeamId, UserId};
use hive_test_peers::Answer;
use serde_json::{Value, json};

use super::harness::TestServer;
use super::rest::routes;

const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

/// Each request with a body, and a valid body for it.
fn bodies() -> Vec<(&'static str, String, Value)> {
    let satellite = format!("/api/v1/satellites/{}", SatelliteId::new(SEED));
    let session = format!("/api/v1/sessions/{}", SessionId::new(SEED));
    let command = json!({ "command": "true" });
    vec![
        ("POST", "/api/v1/auth/login".into(), json!({ "username": "anna", "password": "x" })),
        ("POST", "/api/v1/auth/password".into(), json!({ "current": "x", "new": "y" })),
        ("PUT", satellite.clone(), json!({ "status": "active" })),
        ("POST", format!("{satellite}/exec"), command.clone()),
        ("POST", format!("{satellite}/power"), json!({ "action": "reboot" })),
        ("POST", "/api/v1/exec".into(), json!({ "targets": ["all"], "command": "true" })),
        ("POST", "/api/v1/jobs".into(), json!({ "targets": ["all"], "command": "true" })),
        ("POST", "/api/v1/sessions".into(), json!({ "satellite_id": SatelliteId::new(SEED) })),
        ("POST", format!("{session}/input"), json!({ "data": "" })),
        ("POST", format!("{session}/resize"), json!({ "cols": 80, "rows": 24 })),
        ("POST", "/api/v1/registration-tokens".into(), json!({ "scope": "global" })),
        ("POST", "/api/v1/users".into(), json!({ "username": "anna", "role": "global_user" })),
        ("PUT", format!("/api/v1/users/{}", UserId::new(SEED)), json!({ "role": "global_user" })),
        ("POST", "/api/v1/teams".into(), json!({ "slug": "blue" })),
        (
            "PUT",
            format!("/api/v1/teams/{}/members", TeamId::new(SEED)),
            json!({ "username": "anna", "role": "viewer" }),
        ),
        ("POST", "/api/v1/api-keys".into(), json!({ "name": "x" })),
        ("POST", "/api/v1/audit/logs".into(), json!({ "action": "x", "target": { "type": "x", "id": "x" } })),
    ]
}

/// Fields whose value is one of a list of words.
const WORDS: [&str; 4] = ["status", "action", "scope", "role"];

fn assert_named(answer: &Answer, call: &str, field: &str, part: &str) {
    answer.assert_error(400, "INVALID_INPUT");
    let details = &answer.json()["error"]["details"];
    assert_eq!(details["field"], field, "{call}: {details}");
    assert!(details["rule"].as_str().unwrap().contains(part), "{call}: {details} does not name {part}");
}

#[tokio::test]
async fn an_unknown_field_of_a_body_is_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (method, path, mut body) in bodies() {
        body["nonsense"] = json!(1);
        let answer = server.call(method, &path, Some(&admin), Some(body)).await;
        assert_named(&answer, &format!("{method} {path}"), "nonsense", "nonsense");
    }
}

#[tokio::test]
async fn an_unknown_word_of_a_body_is_named_with_the_known_ones() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let mut count = 0;
    for (method, path, body) in bodies() {
        let fields: Vec<_> = body.as_object().unwrap().keys().filter(|name| WORDS.contains(&name.as_str())).collect();
        for field in fields.into_iter().filter(|_| !path.ends_with("audit/logs")) {
            let known = body[field].as_str().unwrap();
            let mut wrong = body.clone();
            wrong[field] = json!("nonsense");
            let answer = server.call(method, &path, Some(&admin), Some(wrong)).await;
            assert_named(&answer, &format!("{method} {path}"), field, "`nonsense`");
            assert_named(&answer, &format!("{method} {path}"), field, &format!("`{known}`"));
            count += 1;
        }
    }
    assert_eq!(count, 6, "satellite, power, token, new user, user, member");
}

#[tokio::test]
async fn an_unknown_name_of_a_query_is_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (method, path) in routes() {
        let answer = server.call(method, &format!("{path}?nonsense=1"), Some(&admin), None).await;
        assert_named(&answer, &format!("{method} {path}"), "nonsense", "unknown name");
    }
    let answer = server.get(&admin, "/api/v1/satellites?stauts=active").await;
    assert_named(&answer, "satellites", "stauts", "`status`");
}

#[tokio::test]
async fn an_unknown_word_of_a_query_is_named_with_the_known_ones() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let command = "/api/v1/commands/cmd_01kge3h900e41861050r3gg28a";
    for (path, field, known) in [
        ("/api/v1/satellites?status=nonsense".to_owned(), "status", "`maintenance`"),
        (format!("{command}?encoding=nonsense"), "encoding", "`base64`"),
        (format!("{command}/output?channel=nonsense"), "channel", "`stderr`"),
    ] {
        let answer = server.get(&admin, &path).await;
        assert_named(&answer, &path, field, "`nonsense`");
        assert_named(&answer, &path, field, known);
    }
}

#[tokio::test]
async fn unknown_names_of_satellites_are_ignored() {
    let server = TestServer::start().await;
    let token = server.registration_token(None).await;
    let body = json!({ "name": "web-server-01", "nonsense": 1 });
    let answer = server.anonymous().bearer(&token).post("/api/satellites/register?nonsense=1", &body).await;
    assert!(answer.json()["success"].as_bool().unwrap(), "{}", answer.json());
}
