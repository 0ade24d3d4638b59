//! Strict parsing under `/api/v1`: unknown names and unknown words are refused, and named in the error.

use hive_core::wire::SatelliteId;
use hive_core::wire::api::{PlatformRole, TeamCreate, UserCreate};
use hive_core::wire::id::Seed;
use hive_test_peers::Answer;
use serde_json::{Value, json};

use super::harness::TestServer;
use super::rest::routes;

const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

/// Each request with a body, and a valid body for it. The objects in the paths exist: of others, a caller learns only that they do
/// not. Sessions need a satellite with a link; `tests/it/every_endpoint.rs` has them.
async fn bodies(server: &TestServer) -> Vec<(&'static str, String, Value)> {
    let satellite = format!("/api/v1/satellites/{}", server.register("web-server-01", None).await.id);
    let system = server.hive.as_system();
    let team = system.identity().team_create(TeamCreate { slug: "red".into() }).await.unwrap();
    let user = UserCreate { username: "bob".into(), role: PlatformRole::GlobalUser };
    let user = system.identity().user_create(user).await.unwrap().user;
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
        ("POST", "/api/v1/registration-tokens".into(), json!({ "scope": "global" })),
        ("POST", "/api/v1/users".into(), json!({ "username": "anna", "role": "global_user" })),
        ("PUT", format!("/api/v1/users/{}", user.id), json!({ "role": "global_user" })),
        ("POST", "/api/v1/teams".into(), json!({ "slug": "blue" })),
        ("PUT", format!("/api/v1/teams/{}/members", team.id), json!({ "username": "anna", "role": "viewer" })),
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
    for (method, path, mut body) in bodies(&server).await {
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
    for (method, path, body) in bodies(&server).await {
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
    // The ids in the other paths are of nothing, which is 404 whatever the query is.
    for (method, path) in routes().into_iter().filter(|(_, path)| !path.contains("_0")) {
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
    let command = json!({ "targets": ["all"], "command": "true" });
    for (method, path, body, field, known) in [
        ("GET", "/api/v1/satellites?status=nonsense", None, "status", "`maintenance`"),
        ("POST", "/api/v1/exec?encoding=nonsense", Some(command), "encoding", "`base64`"),
    ] {
        let answer = server.call(method, path, Some(&admin), body).await;
        assert_named(&answer, path, field, "`nonsense`");
        assert_named(&answer, path, field, known);
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
