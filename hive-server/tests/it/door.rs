//! What strangers may take: each limit, broken over a socket of its own.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::HeaderValue;
use hive_core::Hive;
use hive_core::hive::Settings;
use hive_core::wire::agent::{ToServer, close};
use hive_server::{Config, Limits};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use super::harness::{OpenCall, TestServer, handshake, request};

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: hive\r\n\r\n";

async fn server(limits: Limits) -> TestServer {
    TestServer::with(limits, Settings::default()).await
}

/// A connection whose owner has done no more than to open it. A connection that was made later is known later.
async fn silent(server: &TestServer) -> OpenCall {
    server.open_socket().await
}

#[tokio::test]
async fn who_says_nothing_in_time_is_cut() {
    let server = server(Limits { handshake_timeout: Duration::from_millis(100), ..Limits::default() }).await;
    assert_eq!(silent(&server).await.closed().await, "");
    let mut halfway = silent(&server).await;
    halfway.say("POST /api/v1/auth/login HTTP/1.1\r\nhost: hive\r\ncontent-le").await;
    assert_eq!(halfway.closed().await, "");
    let mut without_body = silent(&server).await;
    without_body.say("POST /api/v1/auth/login HTTP/1.1\r\nhost: hive\r\ncontent-length: 10\r\n\r\n{").await;
    assert_eq!(without_body.closed().await, "");
    let mut idle = silent(&server).await;
    idle.say(HEALTH).await;
    assert!(idle.closed().await.ends_with(r#"{"status":"ok"}"#), "it is answered, and may not stay for that");
}

#[tokio::test]
async fn who_has_shown_a_key_may_stay() {
    let limits = Limits { handshake_timeout: Duration::from_millis(500), max_unauthenticated: 1, ..Limits::default() };
    let server = server(limits).await;
    let key = server.admin().await;
    let mut known = server.open_call("GET", "/api/v1/auth/me", &key, Value::Null).await;
    known.read_until("anna").await;
    for _ in 0..3 {
        assert_eq!(silent(&server).await.closed().await, "");
    }
    known.send("GET", "/api/v1/teams", &key, Value::Null).await;
    known.read_until(r#""data":[]"#).await;
}

#[tokio::test]
async fn of_too_many_strangers_the_oldest_goes() {
    for limits in [
        Limits { max_unauthenticated: 2, ..Limits::default() },
        Limits { max_unauthenticated_per_address: 2, ..Limits::default() },
    ] {
        let server = server(limits).await;
        let first = silent(&server).await;
        let mut second = silent(&server).await;
        let mut third = silent(&server).await;
        assert_eq!(first.closed().await, "");
        for call in [&mut second, &mut third] {
            call.say(HEALTH).await;
            call.read_until(r#"{"status":"ok"}"#).await;
        }
    }
}

#[tokio::test]
async fn the_connection_of_a_probe_ends_with_the_answer() {
    let server = server(Limits::default()).await;
    for path in ["/health", "/health/ready"] {
        let mut probe = silent(&server).await;
        probe.say(&HEALTH.replace("/health", path)).await;
        probe.read_until("connection: close").await;
        assert!(probe.closed().await.ends_with(r#"{"status":"ok"}"#));
    }
}

#[tokio::test]
async fn behind_a_proxy_the_forwarded_address_counts() {
    let hive = Hive::builder().in_memory().build().await.unwrap();
    let limits = Limits { max_unauthenticated_per_address: 1, ..Limits::default() };
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = TestServer::of(hive, Config { limits, trusted_proxies, ..Config::default() }).await;
    let slow_login = async |address: &str| {
        let mut call = silent(&server).await;
        let head = format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nhost: hive\r\nx-forwarded-for: {address}\r\ncontent-length: 2\r\n\
             content-type: application/json\r\nexpect: 100-continue\r\n\r\n"
        );
        call.say(&head).await;
        // The server asks for the body: the request has begun.
        call.read_until("100 Continue").await;
        call
    };
    let (mut first, mut other) = (slow_login("203.0.113.7").await, slow_login("203.0.113.8").await);
    let mut second = slow_login("203.0.113.7").await;
    first.read_until("HTTP/1.1 503").await;
    first.read_until("retry-after: 1").await;
    for call in [&mut other, &mut second] {
        call.say("{}").await;
        call.read_until("HTTP/1.1 400").await;
    }
}

#[tokio::test]
async fn a_forwarded_address_that_cannot_be_read_is_refused_and_never_taken_for_the_proxy() {
    let hive = Hive::builder().in_memory().build().await.unwrap();
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let server = TestServer::of(hive, Config { trusted_proxies, ..Config::default() }).await;
    let call = async |path: &str, forwarded: &[u8]| {
        let mut request = request("GET", path, None, None);
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 1))));
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_bytes(forwarded).unwrap());
        server.call(request).await
    };
    for unreadable in [&b"\xff\xfe"[..], b"unknown", b"203.0.113.7:99999", b"203.0.113.7, \xe9"] {
        for path in ["/api/v1/auth/me", "/api/satellites/register/status", "/health/ready", "/nowhere"] {
            let refused = call(path, unreadable).await;
            refused.assert_error(400, "INVALID_INPUT");
            assert_eq!(refused.json()["error"]["details"]["field"], "X-Forwarded-For");
        }
    }
    for readable in ["\u{ff}, 203.0.113.7", "203.0.113.7:4711", "[2001:db8::7]:4711", "::ffff:203.0.113.7"] {
        assert_eq!(call("/api/v1/auth/me", readable.as_bytes()).await.status, 401, "{readable}");
    }
}

#[tokio::test]
async fn what_a_stranger_may_send_is_bounded() {
    let server = server(Limits::default()).await;
    let mut long_head = silent(&server).await;
    long_head.say(&format!("GET /health HTTP/1.1\r\nhost: hive\r\nx-long: {}\r\n\r\n", "x".repeat(64 * 1024))).await;
    assert!(long_head.closed().await.starts_with("HTTP/1.1 431"));

    let long = "x".repeat(64 * 1024);
    let login = json!({ "username": "anna", "password": long });
    server.call(request("POST", "/api/v1/auth/login", None, Some(login))).await.assert_error(413, "PAYLOAD_TOO_LARGE");
    let mut registration =
        request("POST", "/api/satellites/register", None, Some(json!({ "name": "web-server-01", "tags": [long] })));
    registration.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
    assert_eq!(server.call(registration).await.status, 413);
}

#[tokio::test]
async fn a_handshake_is_short_and_comes_in_time() {
    let limits = Limits { handshake_timeout: Duration::from_millis(500), ..Limits::default() };
    let server = server(limits).await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.connect(&satellite.api_key).await.unwrap();
    let mut long = handshake(&satellite);
    long.version = "x".repeat(64 * 1024);
    link.send(&ToServer::Handshake(Box::new(long))).await;
    assert_eq!(link.close_code().await, close::PROTOCOL_ERROR);
    let mut silent = server.connect(&satellite.api_key).await.unwrap();
    assert_eq!(silent.close_code().await, close::TIMEOUT);
}

/// When a link that was refused may be tried again.
fn retry_after<T>(refused: Result<T, tungstenite::Error>) -> u64 {
    match refused {
        Err(tungstenite::Error::Http(answer)) if answer.status() == 503 => {
            answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test]
async fn no_more_satellites_shake_hands_than_may() {
    let server = server(Limits { max_handshakes: 1, ..Limits::default() }).await;
    let (one, two) = (server.register("web-server-01", None).await, server.register("web-server-02", None).await);
    let mut first = server.connect(&one.api_key).await.unwrap();
    assert!(retry_after(server.connect(&two.api_key).await) >= 1);
    first.handshake(&one).await;
    server.online(&two).await;
}

/// A call of a satellite that comes from this address.
fn from_address(address: [u8; 4], path: &str, key: Option<&str>, body: Value) -> axum::http::Request<axum::body::Body> {
    let mut request = request("POST", path, None, Some(body));
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 1))));
    if let Some(key) = key {
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    request
}

#[tokio::test]
async fn strangers_who_are_refused_cost_only_themselves() {
    let server = server(Limits { handshake_rate: 20, ..Limits::default() }).await;
    let mut fleet = Vec::new();
    for number in 0..6 {
        fleet.push(server.register(&format!("web-server-{number:02}"), None).await);
    }
    let heartbeat = format!("/api/satellites/{}/heartbeat", fleet[0].id);
    let mut wrong = fleet[0].api_key.clone();
    wrong.replace_range(wrong.len() - 4.., "AAAA");
    let (stranger, other) = ([203, 0, 113, 7], [203, 0, 113, 8]);
    for key in [None, Some("nonsense"), Some(&*wrong)] {
        for _ in 0..100 {
            for (path, body) in [(&*heartbeat, json!({})), ("/api/satellites/register", json!({ "name": "x-server" }))]
            {
                let answer = server.call(from_address(stranger, path, key, body)).await;
                assert!([401, 503].contains(&answer.status.as_u16()), "{answer:?}");
            }
        }
    }
    let mut links = Vec::new();
    for satellite in &fleet {
        links.push(server.online(satellite).await);
    }
    let token = server.registration_token(None).await;
    let registration =
        from_address(other, "/api/satellites/register", Some(&token), json!({ "name": "new-server-01" }));
    assert_eq!(server.call(registration).await.status, 200, "others register");
}

#[tokio::test]
async fn a_satellite_has_two_handshakes_under_way_and_the_oldest_ends() {
    let server = server(Limits { max_handshakes: 4, ..Limits::default() }).await;
    let (greedy, other) = (server.register("web-server-01", None).await, server.register("web-server-02", None).await);
    let mut begun = Vec::new();
    for _ in 0..8 {
        begun.push(server.connect(&greedy.api_key).await.expect("it has room for one more"));
    }
    server.online(&other).await;
    let mut last = begun.split_off(6);
    for mut older in begun {
        assert_eq!(older.close_code().await, close::REPLACED);
    }
    for newer in &mut last {
        newer.handshake(&greedy).await;
    }
}

#[tokio::test]
async fn a_herd_is_spread() {
    let server = server(Limits { handshake_rate: 2, ..Limits::default() }).await;
    let satellite = server.register("web-server-01", None).await;
    let mut told = Vec::new();
    while told.len() < 40 {
        if let Err(error) = server.connect(&satellite.api_key).await {
            told.push(retry_after::<()>(Err(error)));
        }
    }
    let (soonest, latest) = (told.iter().min().unwrap(), told.iter().max().unwrap());
    assert!(*soonest >= 1 && latest > &(soonest + 3) && *latest <= 31, "{told:?}");
}

#[tokio::test]
async fn who_shows_too_many_wrong_keys_is_not_looked_at() {
    let server = server(Limits::default()).await;
    let (known, fresh) =
        (server.admin().await, server.user("otto", hive_core::wire::api::PlatformRole::GlobalUser).await);
    let me = async |key: &str, address: [u8; 4]| {
        let mut request = request("GET", "/api/v1/auth/me", Some(key), None);
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 1))));
        server.call(request).await.status.as_u16()
    };
    let (here, there) = ([203, 0, 113, 7], [203, 0, 113, 8]);
    assert_eq!(me(&known, here).await, 200);
    let mut wrong = 0;
    while me("hive_key_nonsense", here).await == 401 {
        wrong += 1;
        assert!(wrong < 10_000, "it is looked at for ever");
    }
    assert!(wrong >= 1000, "mistakes are tolerated: {wrong}");
    // What is forgiven meanwhile may let one of these through; a flood lets through next to none.
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(me("hive_key_nonsense", here).await == 429);
    }
    assert!(refused > 0);
    assert_eq!(me(&known, here).await, 200, "a key that was verified before is known");
    assert_eq!(me(&fresh, there).await, 200, "another address has nothing to do with it");
}
