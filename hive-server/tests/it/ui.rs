//! The UI socket, with satellites that the tests play.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hive_core::access::Role;
use hive_core::hive::{Settings, VerifyMode};
use hive_core::wire::api::{LoginRequest, PlatformRole, SatelliteUpdate, UserUpdate};
use hive_server::{Config, Limits};
use hive_test_peers::satellite::pong;
use hive_test_peers::{PATIENCE, UiClient};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::TestServer;
use crate::harness::session::FakeSession;

/// Long enough for a message to come that must not come.
const MOMENT: Duration = Duration::from_millis(300);

impl TestServer {
    async fn ui(&self, key: &str) -> UiClient {
        UiClient::open(&self.address.to_string(), key).await
    }

    /// A socket that has read its initial state.
    async fn ui_after_start(&self, key: &str) -> UiClient {
        let mut client = self.ui(key).await;
        client.initial_pages().await;
        client
    }

    async fn refused(&self, query: &str, headers: &[(&str, &str)]) -> u16 {
        UiClient::refused(&self.address.to_string(), query, headers).await.0
    }

    /// Changes a satellite so that the event of it has 4 KB.
    async fn change_much(&self, satellite: hive_core::wire::SatelliteId, number: usize) {
        let padding = (10..70).map(|index| format!("{}{index}", "x".repeat(62)));
        let tags = padding.chain([format!("number-{number}")]).collect();
        let update = SatelliteUpdate { tags: Some(tags), ..SatelliteUpdate::default() };
        self.hive.as_system().satellites().update(satellite, update).await.unwrap();
    }

    async fn tag(&self, satellite: hive_core::wire::SatelliteId, tag: &str) {
        let update = SatelliteUpdate { tags: Some(vec![tag.into()]), ..SatelliteUpdate::default() };
        self.hive.as_system().satellites().update(satellite, update).await.unwrap();
    }
}

#[tokio::test]
async fn a_socket_takes_one_credential_in_a_header_or_a_jwt_in_the_query() {
    let server = TestServer::start().await;
    let identity = server.hive.as_system().identity();
    let user = hive_core::wire::api::UserCreate { username: "bert".into(), role: PlatformRole::GlobalAdmin };
    let password = identity.user_create(user).await.unwrap().password.0;
    let login = LoginRequest { username: "bert".into(), password };
    let jwt = server.hive.login(login, None, VerifyMode::Full).await.unwrap().token;
    let (address, key) = (server.address.to_string(), server.admin().await);
    let (query, bearer) = (format!("?token={jwt}"), format!("Bearer {jwt}"));
    for (query, headers) in [
        (query.as_str(), vec![]),
        ("", vec![("authorization", bearer.as_str())]),
        ("", vec![("x-api-key", key.as_str())]),
        ("?initial=all", vec![("x-api-key", key.as_str())]),
    ] {
        let mut client = UiClient::dial(&address, query, &headers).await.unwrap();
        assert_eq!(client.initial_pages().await, [0]);
    }
    assert_eq!(server.refused("", &[]).await, 401);
    assert_eq!(server.refused("?token=garbage", &[]).await, 401);
    assert_eq!(server.refused(&format!("?token={key}"), &[]).await, 401, "a key does not stand in a URL");
    assert_eq!(server.refused(&query, &[("x-api-key", &key)]).await, 400);
    assert_eq!(server.refused("", &[("x-api-key", &key), ("authorization", &bearer)]).await, 400);
    assert_eq!(server.refused("?initial=some", &[("x-api-key", &key)]).await, 400);
    assert_eq!(server.refused("?other=1", &[("x-api-key", &key)]).await, 400);
    server.get(&key, "/ws/ui").await.assert_error(426, "INVALID_INPUT");
}

#[tokio::test]
async fn two_credentials_are_refused_everywhere() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let answer = server.rest(&key).bearer(&key).get("/api/v1/auth/me").await;
    answer.assert_error(400, "INVALID_INPUT");
    assert_eq!(answer.json()["error"]["details"]["field"], "credential");
}

#[tokio::test]
async fn pages_of_the_hive_alone_open_a_socket() {
    let origins = vec!["https://hive.example.com".parse().unwrap()];
    let hive = hive_core::Hive::builder().in_memory().build().await.unwrap();
    let server = TestServer::of(hive, Config { origins, ..Config::default() }).await;
    let key = server.admin().await;
    let port = server.address.port();
    let check = async |origin: &str, host: &str, expected: Option<u16>| {
        let headers = [("x-api-key", key.as_str()), ("origin", origin), ("host", host)];
        let address = server.address.to_string();
        match expected {
            Some(status) => assert_eq!(server.refused("", &headers).await, status, "{origin} at {host}"),
            None => drop(UiClient::dial(&address, "", &headers).await.unwrap()),
        }
    };
    let (local, named) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    check(&format!("http://{local}"), &local, None).await;
    check(&format!("http://{named}"), &named, None).await;
    check("https://hive.example.com", "hive.example.com", None).await;
    check("https://evil.example.com", &local, Some(403)).await;
    check(&format!("http://rebound.evil.com:{port}"), &format!("rebound.evil.com:{port}"), Some(403)).await;
    check(&format!("http://{local}"), "rebound.evil.com", Some(421)).await;
    check("http://127.0.0.1:1", &local, Some(403)).await;
    check("null", &local, Some(403)).await;
}

#[tokio::test]
async fn the_initial_state_of_1201_satellites_comes_in_three_messages() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let names = (0..1201).map(|number| format!("web-server-{number:04}"));
    stream::iter(names).for_each_concurrent(32, async |name| drop(server.register(&name, None).await)).await;
    let mut client = server.ui(&key).await;
    let first = client.next().await;
    assert_eq!(first["event"], "initial_state");
    assert_eq!(first["data"]["user"]["name"], "anna");
    assert_eq!(first["data"]["user"]["roles"], json!(["global_admin"]));
    assert_eq!(first["data"]["satellites"].as_array().unwrap().len(), 500);
    assert_eq!(first["data"]["satellites"][0]["name"], "web-server-0000");
    assert_eq!(client.initial_pages().await, [500, 201]);
    let mut none = UiClient::open_with(&server.address.to_string(), &key, "?initial=none").await;
    assert_eq!(none.initial_pages().await, [0]);
}

#[tokio::test]
async fn satellites_come_and_go() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let registered = server.register("web-server-01", None).await;
    let mut client = server.ui_after_start(&key).await;
    let satellite = server.online(&registered).await;
    let online = client.event("satellite:online").await;
    assert_eq!((&online["name"], &online["system"]["os"]), (&json!("web-server-01"), &json!("linux")));
    drop(satellite);
    let offline = client.event("satellite:offline").await;
    assert_eq!(offline["id"], json!(registered.id));
    server.hive.as_system().satellites().remove(registered.id).await.unwrap();
    assert_eq!(client.event("satellite:removed").await["id"], json!(registered.id));
}

#[tokio::test]
async fn teams_hear_of_their_own_satellites_only() {
    let server = TestServer::start().await;
    let ((blue, blue_key), (red, red_key)) = (server.team("blue").await, server.team("red").await);
    let (one, other) =
        (server.register("blue-server-01", Some(&blue)).await, server.register("red-server-01", Some(&red)).await);
    let (mut anna, mut bert) = (server.ui_after_start(&blue_key).await, server.ui_after_start(&red_key).await);
    for client in [&mut anna, &mut bert] {
        client.act("subscribe", json!({ "satellites": ["*", one.id, other.id] })).await;
    }
    let (mut first, mut second) = (server.online(&one).await, server.online(&other).await);
    first.send(pong(server.hive.source().now())).await;
    second.send(pong(server.hive.source().now())).await;
    server.tag(one.id, "web").await;
    server.tag(other.id, "web").await;
    // The satellite of blue becomes one of red: it is gone for blue.
    let moved = SatelliteUpdate { team_id: Some(Some(red.id)), ..SatelliteUpdate::default() };
    server.hive.as_system().satellites().update(one.id, moved).await.unwrap();
    anna.event("satellite:removed").await;
    bert.until("the satellite is seen", |message| message["data"]["id"] == json!(one.id)).await;
    tokio::time::sleep(MOMENT).await;
    anna.act("subscribe", json!({ "satellites": [] })).await;
    bert.act("subscribe", json!({ "satellites": [] })).await;
    let heard = |client: &UiClient| -> Vec<Value> { client.skipped().cloned().collect() };
    let (heard_anna, heard_bert) = (heard(&anna), heard(&bert));
    assert!(heard_anna.iter().all(|message| !message.to_string().contains(&other.id.to_string())), "{heard_anna:?}");
    assert!(heard_anna.iter().any(|message| message["event"] == "satellite:metrics"), "{heard_anna:?}");
    let of_one = heard_bert.iter().filter(|message| message.to_string().contains(&one.id.to_string()));
    let of_one: Vec<_> = of_one.map(|message| message["event"].as_str().unwrap()).collect();
    assert!(of_one.iter().all(|event| ["satellite:updated", "satellite:offline"].contains(event)), "{heard_bert:?}");
}

#[tokio::test]
async fn who_loses_a_role_hears_nothing_more() {
    let server = TestServer::start().await;
    let (blue, key) = server.team("blue").await;
    let satellite = server.register("blue-server-01", Some(&blue)).await;
    let mut client = server.ui_after_start(&key).await;
    server.tag(satellite.id, "before").await;
    client.event("satellite:updated").await;
    server.hive.as_system().team_member_add("blue", "blue-operator", Role::Viewer).await.unwrap();
    server.tag(satellite.id, "after").await;
    let last = client.next().await;
    assert_eq!((&last["event"], &last["data"]["code"]), (&json!("error"), &json!("UNAVAILABLE")));
    assert_eq!(client.closed().await, Some(4503));
    // With the rights that are left it goes on.
    let mut client = server.ui_after_start(&key).await;
    server.tag(satellite.id, "again").await;
    client.event("satellite:updated").await;
}

#[tokio::test]
async fn a_socket_ends_with_its_credential_within_a_second() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let identity = server.hive.as_system().identity();
    let mut client = server.ui_after_start(&key).await;
    let own: Value = server.get(&key, "/api/v1/api-keys").await.json();
    let path = format!("/api/v1/api-keys/{}", own["data"][0]["id"].as_str().unwrap());
    let begin = Instant::now();
    assert!(server.rest(&key).delete(&path).await.is_success());
    assert_eq!(client.closed().await, Some(4401));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    let other = server.user("carl", PlatformRole::GlobalAdmin).await;
    let mut client = server.ui_after_start(&other).await;
    let me = server.get(&other, "/api/v1/auth/me").await.json();
    let carl = me["data"]["user"]["id"].as_str().unwrap().parse().unwrap();
    let begin = Instant::now();
    identity.user_update(carl, UserUpdate { disabled: Some(true), ..UserUpdate::default() }).await.unwrap();
    assert_eq!(client.closed().await, Some(4401));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_rights_too() {
    let server = TestServer::start().await;
    let (blue, key) = server.team("blue").await;
    let satellite = server.register("blue-server-01", Some(&blue)).await;
    let mut client = UiClient::open_slow(&server.address.to_string(), &key).await;
    client.initial_pages().await;
    for number in 0..200 {
        server.change_much(satellite.id, number).await;
    }
    server.hive.as_system().team_member_add("blue", "blue-operator", Role::Viewer).await.unwrap();
    server.tag(satellite.id, "secret").await;
    // What was on its way comes, and nothing of after.
    let mut last = json!(null);
    while let Ok(message) = timeout(PATIENCE, client.try_next()).await.unwrap() {
        assert!(!message.to_string().contains("secret"), "{message}");
        last = message;
    }
    assert!(last["event"] == "error" || last["event"] == "satellite:updated", "{last}");
}

#[tokio::test]
async fn garbage_is_answered_with_its_field_and_the_socket_stays_open() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut client = server.ui_after_start(&key).await;
    for (text, code, field) in [
        ("garbage", "INVALID_INPUT", json!("message")),
        ("[1,2]", "INVALID_INPUT", json!("message")),
        (r#"{"action":"reboot"}"#, "INVALID_INPUT", json!("action")),
        (r#"{"action":"subscribe","data":{"satellites":["web"]}}"#, "INVALID_INPUT", json!("satellites[0]")),
        (r#"{"action":"subscribe","data":{"satellites":[],"other":1}}"#, "INVALID_INPUT", json!("other")),
        (r#"{"action":"subscribe","more":1,"data":{"satellites":[]}}"#, "INVALID_INPUT", json!("more")),
    ] {
        client.send_text(text).await;
        let answer = client.next().await;
        assert_eq!((&answer["event"], &answer["success"]), (&json!("action:result"), &json!(false)), "{text}");
        assert_eq!((&answer["error"]["code"], &answer["error"]["details"]["field"]), (&json!(code), &field), "{text}");
    }
    client.socket_send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(client.next().await["error"]["details"]["field"], "message");
    client.send_text(" ".repeat(130 * 1024)).await;
    assert_eq!(client.next().await["error"]["code"], "PAYLOAD_TOO_LARGE");
    let refused = client.call("session:create", json!({ "satellite_id": "sat_01kge3h900e41861050r3gg28a" })).await;
    assert_eq!(refused["error"]["code"], "SATELLITE_NOT_FOUND");
    let missing = json!({ "session_id": "sess_01kge3h900e41861050r3gg28a" });
    assert_eq!(client.call("session:attach", missing.clone()).await["error"]["code"], "SESSION_NOT_FOUND");
    assert_eq!(client.call("session:close", missing).await["error"]["code"], "SESSION_NOT_FOUND");
    client.act("subscribe", json!({ "satellites": ["*"] })).await;
    // Longer than a message may be at all: where it ends is not read.
    client.socket_send(Message::text(" ".repeat(300 * 1024))).await;
    assert_eq!(client.closed().await, Some(4413));
}

#[tokio::test]
async fn a_session_is_shown_and_typed_into() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let mut client = server.ui_after_start(&key).await;
    let id = json!(session.id);
    let attached = client.act("session:attach", json!({ "session_id": id, "cols": 100, "rows": 30 })).await;
    assert_eq!((&attached["session_id"], &attached["is_mine"]), (&id, &json!(true)));
    assert_eq!(client.call("session:attach", json!({ "session_id": id })).await["error"]["code"], "CONFLICT");
    session.print(b"hello").await;
    assert_eq!(client.event("session:output").await, json!({ "session_id": id, "output": "aGVsbG8=" }));
    client.act("session:input", json!({ "session_id": id, "input": "bHMK" })).await;
    assert_eq!(session.read(3).await, "ls\n");
    client.act("session:resize", json!({ "session_id": id, "cols": 120, "rows": 40 })).await;
    session.until(|terminal| terminal.size.cols == 120).await;
    client.act("session:throttle", json!({ "session_id": id, "pause": true })).await;
    session.print(b"held").await;
    assert!(
        timeout(MOMENT, client.try_next()).await.is_ok_and(|message| message.unwrap()["event"] != "session:output")
    );
    client.act("session:throttle", json!({ "session_id": id, "pause": false })).await;
    assert_eq!(client.event("session:output").await["output"], "aGVsZA==");
    let wrong = client.call("session:input", json!({ "session_id": id, "input": "?" })).await;
    assert_eq!(wrong["error"]["details"]["field"], "input");
    session.exit(3).await;
    let ended = client.event("session:ended").await;
    assert_eq!(ended, json!({ "session_id": id, "reason": "exited", "exit_code": 3 }));
}

#[tokio::test]
async fn a_socket_that_is_not_read_gets_a_resync_and_nothing_is_queued_for_it() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let mut client = UiClient::open_slow(&server.address.to_string(), &key).await;
    client.initial_pages().await;
    // More than the bytes of events that are kept, 16 MiB.
    for number in 0..4_600 {
        server.change_much(satellite.id, number).await;
    }
    client.until("it is told to read again", |message| message["event"] == "resync").await;
    let queued = client.skipped().count();
    assert!(queued < 500, "{queued} events came before: they were in more than the buffers of the sockets");
    server.change_much(satellite.id, 5_000).await;
    client.until("it goes on", |message| message.to_string().contains("number-5000")).await;
}

#[tokio::test]
async fn no_more_sockets_are_open_than_may_be() {
    let limits = Limits::default().max_ui_sockets(2);
    let server = TestServer::with(limits, Settings::default()).await;
    let key = server.admin().await;
    let first = server.ui_after_start(&key).await;
    let _second = server.ui_after_start(&key).await;
    let headers = [("x-api-key", key.as_str())];
    let (status, headers_of) = UiClient::refused(&server.address.to_string(), "", &headers).await;
    assert_eq!((status, headers_of.contains_key("retry-after")), (503, true));
    drop(first);
    let begin = Instant::now();
    while UiClient::dial(&server.address.to_string(), "", &headers).await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "there is room again");
    }
}

#[tokio::test]
async fn a_client_that_answers_no_pings_is_closed() {
    let limits = Limits::default().viewer_ping(Duration::from_millis(50)).max_ui_sockets(1);
    let server = TestServer::with(limits, Settings::default()).await;
    let key = server.admin().await;
    let _unresponsive = server.ui(&key).await;
    let headers = [("x-api-key", key.as_str())];
    let begin = Instant::now();
    while UiClient::dial(&server.address.to_string(), "", &headers).await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "the socket is closed");
    }
}

#[tokio::test]
async fn a_stopping_server_closes_its_ui_sockets() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut client = server.ui_after_start(&key).await;
    server.stop.cancel();
    assert_eq!(client.closed().await, Some(1001));
    timeout(Duration::from_secs(5), server.running.wait()).await.expect("the server stops within 5 s");
}
