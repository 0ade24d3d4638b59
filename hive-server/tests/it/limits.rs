//! Limits on unauthenticated callers.

use std::time::Duration;

use futures_util::future::join_all;
use hive_core::Hive;
use hive_core::hive::Settings;
use hive_core::wire::agent::{ToServer, close};
use hive_server::{Config, Limits};
use hive_test_peers::Answer;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use super::harness::{RawConnection, TestServer, handshake_of, shake_hands};

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: hive\r\n\r\n";

async fn server(limits: Limits) -> TestServer {
    TestServer::with(limits, Settings::default()).await
}

/// Opens a connection and sends nothing. The server registers connections in the order in which they are opened.
async fn idle(server: &TestServer) -> RawConnection {
    server.open_connection().await
}

#[tokio::test]
async fn an_unauthenticated_connection_is_closed_after_the_timeout() {
    let server = server(Limits::default().handshake_timeout(Duration::from_millis(100))).await;
    assert_eq!(idle(&server).await.closed().await, "");
    let mut halfway = idle(&server).await;
    halfway.write("POST /api/v1/auth/login HTTP/1.1\r\nhost: hive\r\ncontent-le").await;
    assert_eq!(halfway.closed().await, "");
    let mut without_body = idle(&server).await;
    without_body.write("POST /api/v1/auth/login HTTP/1.1\r\nhost: hive\r\ncontent-length: 10\r\n\r\n{").await;
    assert_eq!(without_body.closed().await, "");
    let mut probe = idle(&server).await;
    probe.write(HEALTH).await;
    assert!(probe.closed().await.ends_with(r#"{"status":"ok"}"#), "a probe is answered and closed");
}

#[tokio::test]
async fn an_authenticated_connection_is_not_limited() {
    let limits = Limits::default().handshake_timeout(Duration::from_millis(500)).max_unauthenticated(1);
    let server = server(limits).await;
    let key = server.admin().await;
    let mut authenticated = server.send_request("GET", "/api/v1/auth/me", &key, Value::Null).await;
    authenticated.read_until("anna").await;
    for _ in 0..3 {
        assert_eq!(idle(&server).await.closed().await, "");
    }
    authenticated.send("GET", "/api/v1/teams", &key, Value::Null).await;
    authenticated.read_until(r#""data":[]"#).await;
}

#[tokio::test]
async fn over_the_limit_the_oldest_connection_is_closed() {
    for limits in [Limits::default().max_unauthenticated(2), Limits::default().max_unauthenticated_per_address(2)] {
        let server = server(limits).await;
        let first = idle(&server).await;
        let mut second = idle(&server).await;
        let mut third = idle(&server).await;
        assert_eq!(first.closed().await, "");
        for call in [&mut second, &mut third] {
            call.write(HEALTH).await;
            call.read_until(r#"{"status":"ok"}"#).await;
        }
    }
}

#[tokio::test]
async fn the_connection_of_a_probe_is_closed_after_the_response() {
    let server = server(Limits::default()).await;
    for path in ["/health", "/health/ready"] {
        let mut probe = idle(&server).await;
        probe.write(&HEALTH.replace("/health", path)).await;
        probe.read_until("connection: close").await;
        assert!(probe.closed().await.ends_with(r#"{"status":"ok"}"#));
    }
}

#[tokio::test]
async fn the_limits_apply_to_the_forwarded_address() {
    let hive = Hive::builder().in_memory().build().await.unwrap();
    let limits = Limits::default().max_unauthenticated_per_address(1);
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = TestServer::of(hive, Config { limits, trusted_proxies, ..Config::default() }).await;
    let slow_login = async |address: &str| {
        let mut call = idle(&server).await;
        let head = format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nhost: hive\r\nx-forwarded-for: {address}\r\ncontent-length: 2\r\n\
             content-type: application/json\r\nexpect: 100-continue\r\n\r\n"
        );
        call.write(&head).await;
        // The server asks for the body, so the request is registered.
        call.read_until("100 Continue").await;
        call
    };
    let (mut first, mut other) = (slow_login("203.0.113.7").await, slow_login("203.0.113.8").await);
    let mut second = slow_login("203.0.113.7").await;
    first.read_until("HTTP/1.1 503").await;
    first.read_until("retry-after: 1").await;
    for call in [&mut other, &mut second] {
        call.write("{}").await;
        call.read_until("HTTP/1.1 400").await;
    }
}

#[tokio::test]
async fn an_invalid_forwarded_address_is_refused() {
    let hive = Hive::builder().in_memory().build().await.unwrap();
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = TestServer::of(hive, Config { trusted_proxies, ..Config::default() }).await;
    let call =
        async |path: &str, forwarded: &[u8]| server.anonymous().with("x-forwarded-for", forwarded).get(path).await;
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
async fn the_size_of_unauthenticated_requests_is_limited() {
    let server = server(Limits::default()).await;
    let mut long_head = idle(&server).await;
    long_head.write(&format!("GET /health HTTP/1.1\r\nhost: hive\r\nx-long: {}\r\n\r\n", "x".repeat(64 * 1024))).await;
    assert!(long_head.closed().await.starts_with("HTTP/1.1 431"));

    let long = "x".repeat(64 * 1024);
    let login = json!({ "username": "anna", "password": long });
    server.call("POST", "/api/v1/auth/login", None, Some(login)).await.assert_error(413, "PAYLOAD_TOO_LARGE");
    let registration = json!({ "name": "web-server-01", "tags": [long] });
    // With a token: nobody else learns what is wrong with the body.
    let with_token = server.anonymous().bearer(&server.registration_token(None).await);
    assert_eq!(with_token.post("/api/satellites/register", &registration).await.status, 413);
}

#[tokio::test]
async fn a_handshake_has_a_size_limit_and_a_timeout() {
    let limits = Limits::default().handshake_timeout(Duration::from_millis(500));
    let server = server(limits).await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.connect(&satellite).await.unwrap();
    let mut long = handshake_of(&satellite);
    long.version = "x".repeat(64 * 1024);
    link.send(ToServer::Handshake(Box::new(long))).await;
    assert_eq!(link.closed().await, Some(close::PROTOCOL_ERROR));
    let mut idle_link = server.connect(&satellite).await.unwrap();
    assert_eq!(idle_link.closed().await, Some(close::TIMEOUT));
}

/// The `Retry-After` of a refused link.
fn retry_after<T>(refused: Result<T, tungstenite::Error>) -> u64 {
    match refused {
        Err(tungstenite::Error::Http(answer)) if answer.status() == 503 => {
            answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the link was opened"),
    }
}

#[tokio::test]
async fn concurrent_handshakes_are_limited() {
    let server = server(Limits::default().max_handshakes(1)).await;
    let (one, two) = (server.register("web-server-01", None).await, server.register("web-server-02", None).await);
    let mut first = server.connect(&one).await.unwrap();
    assert!(retry_after(server.connect(&two).await) >= 1);
    shake_hands(&mut first).await;
    server.online(&two).await;
}

/// A request of a satellite from this address.
async fn call_from(server: &TestServer, address: [u8; 4], path: &str, key: Option<&str>, body: Value) -> Answer {
    let rest = server.anonymous().at(address);
    key.map_or_else(|| rest.clone(), |key| rest.bearer(key)).post(path, &body).await
}

#[tokio::test]
async fn refused_requests_use_up_the_rate_of_their_address_alone() {
    let server = server(Limits::default().handshake_rate(20)).await;
    let mut fleet = Vec::new();
    for number in 0..6 {
        fleet.push(server.register(&format!("web-server-{number:02}"), None).await);
    }
    let heartbeat = format!("/api/satellites/{}/heartbeat", fleet[0].id);
    let mut wrong = fleet[0].api_key.clone();
    wrong.replace_range(wrong.len() - 4.., "AAAA");
    let (attacker, other) = ([127, 0, 113, 7], [127, 0, 113, 8]);
    for key in [None, Some("nonsense"), Some(&*wrong)] {
        for _ in 0..100 {
            for (path, body) in [(&*heartbeat, json!({})), ("/api/satellites/register", json!({ "name": "x-server" }))]
            {
                let answer = call_from(&server, attacker, path, key, body).await;
                assert!([401, 503].contains(&answer.status), "{answer:?}");
            }
        }
    }
    let mut links = Vec::new();
    for satellite in &fleet {
        links.push(server.online(satellite).await);
    }
    let token = server.registration_token(None).await;
    let body = json!({ "name": "new-server-01" });
    let registered = call_from(&server, other, "/api/satellites/register", Some(&token), body).await;
    assert_eq!(registered.status, 200, "another address can register");
}

#[tokio::test]
async fn a_satellite_has_two_pending_handshakes_and_the_oldest_is_closed() {
    let server = server(Limits::default().max_handshakes(4)).await;
    let (greedy, other) = (server.register("web-server-01", None).await, server.register("web-server-02", None).await);
    let mut begun = Vec::new();
    for _ in 0..8 {
        begun.push(server.connect(&greedy).await.expect("another handshake may begin"));
    }
    server.online(&other).await;
    let mut last = begun.split_off(6);
    for mut older in begun {
        assert_eq!(older.closed().await, Some(close::REPLACED));
    }
    for newer in &mut last {
        shake_hands(newer).await;
    }
}

#[tokio::test]
async fn a_satellite_that_authenticates_too_often_is_refused_and_takes_nothing_from_others() {
    let server = server(Limits::default().handshake_rate(300)).await;
    let (greedy, other) = (server.register("web-server-01", None).await, server.register("web-server-02", None).await);
    let path = format!("/api/satellites/{}/heartbeat", greedy.id);
    let heartbeat = async |key: &str| call_from(&server, [127, 0, 113, 7], &path, Some(key), json!({})).await;
    let mut statuses = Vec::new();
    for _ in 0..400 {
        let answer = heartbeat(&greedy.api_key).await;
        assert!(answer.status == 200 || answer.headers["retry-after"] == "1", "{answer:?}");
        statuses.push(answer.status);
    }
    assert!(statuses[..100].iter().all(|status| *status == 200), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 429).count() > 100, "{statuses:?}");
    server.online(&other).await;
    // A wrong key that names the satellite is refused as ever, and locks nobody out.
    let mut wrong = other.api_key.clone();
    wrong.replace_range(wrong.len() - 4.., "AAAA");
    for _ in 0..40 {
        assert!([401, 503].contains(&heartbeat(&wrong).await.status));
    }
    server.online(&other).await;
}

#[tokio::test]
async fn retry_delays_are_spread() {
    let server = server(Limits::default().handshake_rate(2)).await;
    let satellite = server.register("web-server-01", None).await;
    let mut delays = Vec::new();
    while delays.len() < 40 {
        if let Err(error) = server.connect(&satellite).await {
            delays.push(retry_after::<()>(Err(error)));
        }
    }
    let (soonest, latest) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(*soonest >= 1 && latest > &(soonest + 3) && *latest <= 31, "{delays:?}");
}

#[tokio::test]
async fn an_address_with_too_many_wrong_keys_is_not_verified() {
    let server = server(Limits::default()).await;
    let (known, fresh) =
        (server.admin().await, server.user("otto", hive_core::wire::api::PlatformRole::GlobalUser).await);
    let me = async |key: &str, address: [u8; 4]| server.rest(key).at(address).get("/api/v1/auth/me").await.status;
    let (here, there) = ([127, 0, 113, 7], [127, 0, 113, 8]);
    assert_eq!(me(&known, here).await, 200);
    let mut wrong = 0;
    loop {
        // Many at a time: what is slower than the decay of the score never reaches the limit.
        let statuses = join_all((0..16).map(|_| me("hive_key_nonsense", here))).await;
        wrong += statuses.iter().filter(|status| **status == 401).count();
        if statuses.contains(&429) {
            break;
        }
        assert!(wrong < 10_000, "keys are verified without a limit");
    }
    assert!(wrong >= 1000, "mistakes are tolerated: {wrong}");
    // The score decays meanwhile, so some of these may be verified.
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(me("hive_key_nonsense", here).await == 429);
    }
    assert!(refused > 0);
    assert_eq!(me(&known, here).await, 200, "a key that was verified before is accepted");
    assert_eq!(me(&fresh, there).await, 200, "another address is not affected");
}
