//! Every operation of the API, called by the wrong caller. The list of operations is the document of the running server.

mod document;
mod world;

use hive_testkit::{Answer, TestHive};
use serde_json::json;

use self::document::{Operation, operations};
use self::world::EndpointWorld;

/// Operations to which a rule does not apply, with the reason. At most ten.
const EXCEPTIONS: [(&str, &str); 3] = [
    ("registration_token_revoke", "without the permission no token can be seen: 404, not 403"),
    ("event_stream", "the stream of a caller who sees nothing does not end"),
    ("ui_socket", "without an upgrade there is no socket; `ui.rs` shows what it hides"),
];

fn is_exempt(operation: &Operation) -> bool {
    EXCEPTIONS.iter().any(|(id, _)| *id == operation.id)
}

/// A query name and a body that no operation takes, so that an answer shows what is checked before the input.
async fn call_badly(world: &EndpointWorld, caller: &hive_testkit::Rest, operation: &Operation) -> Answer {
    let path = format!("{}?nonsense=1", world.fill(operation));
    caller.call(&operation.method, &path).json(&json!({ "nonsense": 1 })).answer().await
}

#[tokio::test]
async fn who_does_not_say_who_they_are_gets_nothing() {
    let world = EndpointWorld::new().await;
    let anonymous = world.hive.anonymous();
    let callers = [
        anonymous.clone(),
        anonymous.with("x-api-key", ""),
        // A key of the right form that was never made.
        anonymous.with("x-api-key", "hive_key_01kge3h900e41861050r3gg28a_0123456789012345678901234567890123456789012"),
        // A valid key, of the wrong kind.
        anonymous.with("x-api-key", world.satellite.api_key()),
        // A JWT with the algorithm `none` (RFC 8725, section 2.1).
        anonymous.bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."),
    ];
    for operation in operations(&world.hive).await {
        if operation.who == "public" {
            continue;
        }
        for caller in &callers {
            let answer = call_badly(&world, caller, &operation).await;
            assert_eq!(answer.status, 401, "{operation}: {}", answer.text());
            assert_eq!(answer.json()["success"], false, "{operation}");
        }
    }
    assert!(world.hive.rest().get("/api/v1/satellites").await.is_success(), "nobody was locked out");
}

#[tokio::test]
async fn what_is_for_everybody_needs_no_credential() {
    let hive = TestHive::start().await;
    let mut paths = Vec::new();
    for operation in operations(&hive).await {
        let is_public = operation.who == "public";
        assert_eq!(operation.security.as_array().is_some_and(Vec::is_empty), is_public, "{operation}");
        if is_public && operation.method == "GET" {
            assert!(hive.anonymous().get(&operation.path).await.is_success(), "{operation}");
            paths.push(operation.path);
        }
    }
    let expected = [
        "/api/health",
        "/api/satellites/register/status",
        "/api/v1/docs",
        "/api/v1/openapi.json",
        "/health",
        "/health/live",
        "/health/ready",
    ];
    paths.sort();
    assert_eq!(paths, expected);
    let login = hive.anonymous().post("/api/v1/auth/login", &json!({ "nonsense": 1 })).await;
    assert_eq!(login.refusal(), (400, "INVALID_INPUT".into()));
}

#[tokio::test]
async fn a_revoked_credential_is_none() {
    let world = EndpointWorld::new().await;
    let callers = world.revoked_callers().await;
    for operation in operations(&world.hive).await {
        let caller = match operation.who.as_str() {
            "public" => continue,
            "satellite" if operation.id == "satellite_register" => &callers.token,
            "satellite" => &callers.satellite,
            _ => &callers.user,
        };
        let answer = call_badly(&world, caller, &operation).await;
        assert_eq!(answer.status, 401, "{operation}: {}", answer.text());
    }
}

#[tokio::test]
async fn what_belongs_to_another_team_is_not_there() {
    let world = EndpointWorld::new().await;
    for operation in operations(&world.hive).await {
        let answer = match operation.reach.as_str() {
            "visible" if !is_exempt(&operation) => {
                let answer = world.other.call(&operation.method, &world.fill(&operation)).answer().await;
                assert!(answer.is_success(), "{operation}: {}", answer.text());
                assert!(!answer.text().contains(world.satellite.id()), "{operation}: {}", answer.text());
                continue;
            }
            "" | "visible" | "anywhere" | "own" => continue,
            "platform" => {
                let answer = call_badly(&world, &world.other, &operation).await;
                assert_eq!(answer.status, 403, "{operation}: {}", answer.text());
                continue;
            }
            _ => call_badly(&world, &world.other, &operation).await,
        };
        assert_eq!(answer.status, 404, "{operation}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_missing_permission_is_refused_before_the_input() {
    let world = EndpointWorld::new().await;
    for operation in operations(&world.hive).await {
        // A user is hidden from all who may not change users, and nothing is refused where a caller gets what they may see.
        if operation.permission.is_empty()
            || ["user", "visible"].contains(&operation.reach.as_str())
            || is_exempt(&operation)
        {
            continue;
        }
        let caller = match operation.permission.as_str() {
            // Every role of a team has these, and a key need not.
            "satellites.read" | "api_keys.own" => &world.limited,
            _ => &world.viewer,
        };
        let answer = call_badly(&world, caller, &operation).await;
        assert_eq!(answer.status, 403, "{operation}: {}", answer.text());
    }
}

#[tokio::test]
async fn who_may_do_it_learns_what_is_wrong_with_the_input() {
    let world = EndpointWorld::new().await;
    for operation in operations(&world.hive).await {
        if operation.permission.is_empty() || !operation.path.starts_with("/api/v1") {
            continue;
        }
        // The key of the path is the admin's own.
        let answer = call_badly(&world, &world.hive.rest(), &operation).await;
        assert_eq!(answer.refusal(), (400, "INVALID_INPUT".into()), "{operation}");
        if operation.has_body {
            let path = world.fill(&operation);
            let call = world.hive.rest().call(&operation.method, &path).json(&json!({ "nonsense": 1 }));
            assert_eq!(call.answer().await.refusal(), (400, "INVALID_INPUT".into()), "{operation}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let hive = TestHive::start().await;
    for operation in operations(&hive).await {
        let is_of_path = !matches!(operation.reach.as_str(), "" | "visible" | "anywhere" | "own" | "platform");
        // Without an upgrade there is nothing to attach to, whatever it is.
        if !is_of_path {
            continue;
        }
        let path = operation.fill_with_nothing();
        let answer = hive.rest().call(&operation.method, &path).json(&operation.example).answer().await;
        assert_eq!(answer.status, 404, "{operation}: {}", answer.text());
    }
    assert_eq!(hive.rest().get("/api/v1/nothing").await.status, 404);
    assert_eq!(hive.rest().delete("/api/v1/auth/me").await.status, 405);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let hive = TestHive::start().await;
    let satellite = hive.satellite("web-server-01").await;
    let command = json!({"command": "x".repeat(2 * 1024 * 1024)});
    let answer = hive.rest().post(&satellite.path("/exec"), &command).await;
    assert_eq!(answer.refusal(), (413, "PAYLOAD_TOO_LARGE".into()));
    let garbage = hive.rest().call("POST", &satellite.path("/exec")).body("{").with("content-type", "application/json");
    assert_eq!(garbage.answer().await.refusal().1, "INVALID_INPUT");
}

#[test]
fn exceptions_are_few() {
    assert!(EXCEPTIONS.len() <= 10);
}
