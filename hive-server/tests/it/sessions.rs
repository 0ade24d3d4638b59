//! Sessions over REST.

use hive_core::hive::Settings;
use hive_core::wire::SessionId;
use hive_core::wire::api::Size;
use hive_core::wire::id::Seed;
use hive_server::Limits;
use serde_json::{Value, json};

use super::harness::TestServer;
use super::harness::session::FakeSession;

fn unknown() -> SessionId {
    SessionId::new(Seed { unix_millis: 1, random: [1; 10] })
}

#[tokio::test]
async fn a_session_is_created_and_listed() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let fake = FakeSession::open(&server, &key).await;
    let session = server.get(&key, &fake.path("")).await.json()["data"].clone();
    assert_eq!(
        (&session["status"], &session["online"], &session["viewers"]),
        (&json!("open"), &json!(true), &json!(0))
    );
    assert_eq!((&session["cols"], &session["rows"]), (&json!(80), &json!(24)));
    assert_eq!(session["created_by"]["name"], "anna");
    let satellite = session["satellite_id"].as_str().unwrap();
    let of_satellite = format!("/api/v1/satellites/{satellite}/sessions");
    let by_query = format!("/api/v1/sessions?satellite_id={satellite}");
    for path in ["/api/v1/sessions", &of_satellite, &by_query] {
        assert_eq!(server.get(&key, path).await.json()["data"], json!([session]), "{path}");
    }
}

#[tokio::test]
async fn input_and_size_are_sent_to_the_satellite() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let (input_path, resize) = (session.path("/input"), session.path("/resize"));
    let typing = server.post(&key, &input_path, json!({ "data": "bHMK" }));
    let (answer, input) = tokio::join!(typing, session.read(3));
    assert_eq!((answer.status, input.as_str()), (200, "ls\n"), "{answer:?}");
    let answer = server.post(&key, &resize, json!({ "cols": 200, "rows": 50 })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    session.until(|terminal| terminal.resizes > 0).await;
    assert_eq!(session.satellite.terminal(session.id).size, Size { cols: 200, rows: 50 });
}

#[tokio::test]
async fn an_ended_session_is_listed_on_request() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let path = session.path("");
    // The satellite is told to end the session, says that it was killed, and forgets it when that is acknowledged.
    let satellite = session.satellite.until(|satellite| satellite.terminals.is_empty());
    let (answer, ()) = tokio::join!(server.call("DELETE", &path, Some(&key), None), satellite);
    assert_eq!((answer.status, answer.json()["success"].clone()), (200, json!(true)), "{answer:?}");
    assert_eq!(server.get(&key, "/api/v1/sessions").await.json()["data"], json!([]));
    let ended = server.get(&key, "/api/v1/sessions?ended=true").await.json()["data"][0].clone();
    assert_eq!((&ended["status"], &ended["end"]["reason"]), (&json!("ended"), &json!("killed")), "{ended}");
    let again = server.call("DELETE", &path, Some(&key), None).await;
    assert_eq!(again.status, 200, "terminating an ended session succeeds: {again:?}");
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let session = FakeSession::open(&server, &key).await;
    let check = async |method: &str, path: &str, body: Option<Value>, status: u16, code: &str| {
        let answer = server.call(method, path, Some(&key), body).await;
        answer.assert_error(status, code);
    };
    let satellite = server.register("web-server-02", None).await;
    let on_offline = json!({ "satellite_id": satellite.id });
    check("POST", "/api/v1/sessions", Some(json!({})), 400, "INVALID_INPUT").await;
    check("POST", "/api/v1/sessions", Some(on_offline), 409, "SATELLITE_INACTIVE").await;
    check("GET", "/api/v1/sessions?ended=perhaps", None, 400, "INVALID_INPUT").await;
    check("POST", &session.path("/input"), Some(json!({ "data": "no base64" })), 400, "INVALID_INPUT").await;
    check("POST", &session.path("/resize"), Some(json!({ "cols": 0, "rows": 10 })), 400, "INVALID_INPUT").await;
    check("GET", "/api/v1/sessions/somewhere", None, 400, "INVALID_INPUT").await;
    let unknown = format!("/api/v1/sessions/{}", unknown());
    check("GET", &unknown, None, 404, "SESSION_NOT_FOUND").await;
    check("DELETE", &unknown, None, 404, "SESSION_NOT_FOUND").await;
    check("POST", &format!("{unknown}/input"), Some(json!({ "data": "" })), 404, "SESSION_NOT_FOUND").await;
    check("POST", &format!("{unknown}/resize"), Some(json!({ "cols": 1, "rows": 1 })), 404, "SESSION_NOT_FOUND").await;
    check("GET", &format!("{unknown}/attach"), None, 404, "SESSION_NOT_FOUND").await;
    check("GET", &session.path("/attach"), None, 426, "INVALID_INPUT").await;
}

#[tokio::test]
async fn a_session_needs_an_online_satellite() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    drop(server.online(&satellite).await);
    while server.is_online(&satellite).await {
        tokio::task::yield_now().await;
    }
    let answer = server.post(&key, "/api/v1/sessions", json!({ "satellite_id": satellite.id })).await;
    answer.assert_error(503, "SATELLITE_OFFLINE");
}

#[tokio::test]
async fn the_number_of_sessions_is_limited() {
    let settings = Settings::default().max_sessions_per_satellite(1);
    let server = TestServer::with(Limits::default(), settings).await;
    let key = server.admin().await;
    let fake = FakeSession::open(&server, &key).await;
    let session = server.get(&key, &fake.path("")).await.json()["data"].clone();
    let answer = server.post(&key, "/api/v1/sessions", json!({ "satellite_id": session["satellite_id"] })).await;
    answer.assert_error(429, "SESSION_LIMIT");
    assert_eq!(answer.json()["error"]["details"]["limit"], 1);
}

#[tokio::test]
async fn a_session_of_another_team_is_not_found() {
    let server = TestServer::start().await;
    let (red, red_key) = server.team("red").await;
    let (_, blue_key) = server.team("blue").await;
    let satellite = server.register("red-server-01", Some(&red)).await;
    let link = server.online(&satellite).await;
    let create = json!({ "satellite_id": satellite.id });
    let session = FakeSession::open_on(&server, &red_key, create.clone(), link).await;
    server.post(&blue_key, "/api/v1/sessions", create).await.assert_error(404, "SATELLITE_NOT_FOUND");
    for (method, path, body) in [
        ("GET", session.path(""), None),
        ("DELETE", session.path(""), None),
        ("POST", session.path("/input"), Some(json!({ "data": "bHMK" }))),
        ("POST", session.path("/resize"), Some(json!({ "cols": 10, "rows": 10 }))),
        ("GET", session.path("/attach"), None),
    ] {
        let answer = server.call(method, &path, Some(&blue_key), body).await;
        answer.assert_error(404, "SESSION_NOT_FOUND");
    }
    assert_eq!(server.get(&blue_key, "/api/v1/sessions").await.json()["data"], json!([]));
    let of_satellite = format!("/api/v1/satellites/{}/sessions", satellite.id);
    server.get(&blue_key, &of_satellite).await.assert_error(404, "SATELLITE_NOT_FOUND");
}
