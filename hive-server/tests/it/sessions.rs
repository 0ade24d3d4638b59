//! Terminals over REST.

use hive_core::hive::Settings;
use hive_core::wire::SessionId;
use hive_core::wire::agent::{ToAgent, ToServer};
use hive_core::wire::api::{EndReason, SessionEnd, Size};
use hive_core::wire::id::Seed;
use hive_server::Limits;
use serde_json::{Value, json};

use super::harness::{TestServer, request};
use super::shell::{Got, Shell};

fn unknown() -> SessionId {
    SessionId::new(Seed { unix_millis: 1, random: [1; 10] })
}

#[tokio::test]
async fn a_terminal_is_opened_and_shown() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let shell = Shell::open(&server, &key).await;
    let session = server.get(&key, &shell.path("")).await.json()["data"].clone();
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
async fn what_is_typed_and_resized_reaches_the_satellite() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let (input, resize) = (shell.path("/input"), shell.path("/resize"));
    let typing = server.post(&key, &input, json!({ "data": "bHMK" }));
    let (answer, typed) = tokio::join!(typing, shell.read(3));
    assert_eq!((answer.status.as_u16(), typed.as_str()), (200, "ls\n"), "{answer:?}");
    let answer = server.post(&key, &resize, json!({ "cols": 200, "rows": 50 })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    match shell.next().await {
        Got::Told(ToAgent::PtyResize { size, .. }) => assert_eq!(size, Size { cols: 200, rows: 50 }),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_ended_terminal_is_listed_where_ended_ones_are_wanted() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut shell = Shell::open(&server, &key).await;
    let path = shell.path("");
    let satellite = async {
        assert!(matches!(shell.next().await, Got::Told(ToAgent::PtyEnd { .. })));
        let end = SessionEnd { reason: EndReason::Killed, exit_code: None, error: None };
        shell.satellite.send(&ToServer::PtyEnded { session_id: shell.id, end }).await;
        assert!(matches!(shell.next().await, Got::Told(ToAgent::PtyEndAck { .. })));
    };
    let (answer, ()) = tokio::join!(server.call(request("DELETE", &path, Some(&key), None)), satellite);
    assert_eq!((answer.status.as_u16(), answer.json()["success"].clone()), (200, json!(true)), "{answer:?}");
    assert_eq!(server.get(&key, "/api/v1/sessions").await.json()["data"], json!([]));
    let ended = server.get(&key, "/api/v1/sessions?ended=true").await.json()["data"][0].clone();
    assert_eq!((&ended["status"], &ended["end"]["reason"]), (&json!("ended"), &json!("killed")), "{ended}");
    let again = server.call(request("DELETE", &path, Some(&key), None)).await;
    assert_eq!(again.status, 200, "one that has ended stays ended: {again:?}");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let shell = Shell::open(&server, &key).await;
    let check = async |method: &str, path: &str, body: Option<Value>, status: u16, code: &str| {
        let answer = server.call(request(method, path, Some(&key), body)).await;
        answer.assert_error(status, code);
    };
    let satellite = server.register("web-server-02", None).await;
    let on_offline = json!({ "satellite_id": satellite.id });
    check("POST", "/api/v1/sessions", Some(json!({})), 400, "INVALID_INPUT").await;
    check("POST", "/api/v1/sessions", Some(on_offline), 409, "SATELLITE_INACTIVE").await;
    check("GET", "/api/v1/sessions?ended=perhaps", None, 400, "INVALID_INPUT").await;
    check("POST", &shell.path("/input"), Some(json!({ "data": "no base64" })), 400, "INVALID_INPUT").await;
    check("POST", &shell.path("/resize"), Some(json!({ "cols": 0, "rows": 10 })), 400, "INVALID_INPUT").await;
    check("GET", "/api/v1/sessions/somewhere", None, 400, "INVALID_INPUT").await;
    let unknown = format!("/api/v1/sessions/{}", unknown());
    check("GET", &unknown, None, 404, "SESSION_NOT_FOUND").await;
    check("DELETE", &unknown, None, 404, "SESSION_NOT_FOUND").await;
    check("POST", &format!("{unknown}/input"), Some(json!({ "data": "" })), 404, "SESSION_NOT_FOUND").await;
    check("POST", &format!("{unknown}/resize"), Some(json!({ "cols": 1, "rows": 1 })), 404, "SESSION_NOT_FOUND").await;
    check("GET", &format!("{unknown}/attach"), None, 404, "SESSION_NOT_FOUND").await;
    check("GET", &shell.path("/attach"), None, 426, "INVALID_INPUT").await;
}

#[tokio::test]
async fn a_satellite_without_a_link_has_no_terminals() {
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
async fn one_terminal_too_many_is_refused() {
    let settings = Settings { max_sessions_per_satellite: 1, ..Settings::default() };
    let server = TestServer::with(Limits::default(), settings).await;
    let key = server.admin().await;
    let shell = Shell::open(&server, &key).await;
    let session = server.get(&key, &shell.path("")).await.json()["data"].clone();
    let answer = server.post(&key, "/api/v1/sessions", json!({ "satellite_id": session["satellite_id"] })).await;
    answer.assert_error(429, "SESSION_LIMIT");
    assert_eq!(answer.json()["error"]["details"]["limit"], 1);
}

#[tokio::test]
async fn another_teams_terminal_looks_as_if_it_did_not_exist() {
    let server = TestServer::start().await;
    let (red, red_key) = server.team("red").await;
    let (_, blue_key) = server.team("blue").await;
    let satellite = server.register("red-server-01", Some(&red)).await;
    let link = server.online(&satellite).await;
    let wanted = json!({ "satellite_id": satellite.id });
    let shell = Shell::open_on(&server, &red_key, wanted.clone(), link).await;
    server.post(&blue_key, "/api/v1/sessions", wanted).await.assert_error(404, "SATELLITE_NOT_FOUND");
    for (method, path, body) in [
        ("GET", shell.path(""), None),
        ("DELETE", shell.path(""), None),
        ("POST", shell.path("/input"), Some(json!({ "data": "bHMK" }))),
        ("POST", shell.path("/resize"), Some(json!({ "cols": 10, "rows": 10 }))),
        ("GET", shell.path("/attach"), None),
    ] {
        let answer = server.call(request(method, &path, Some(&blue_key), body)).await;
        answer.assert_error(404, "SESSION_NOT_FOUND");
    }
    assert_eq!(server.get(&blue_key, "/api/v1/sessions").await.json()["data"], json!([]));
    let of_satellite = format!("/api/v1/satellites/{}/sessions", satellite.id);
    server.get(&blue_key, &of_satellite).await.assert_error(404, "SATELLITE_NOT_FOUND");
}
