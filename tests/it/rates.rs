//! The rates of callers: a login's calls and commands, and wrong passwords.

use std::time::Duration;

use hive_core::wire::api::LoginRequest;
use hive_core::{Error, RemoteHive};
use hive_testkit::{Rest, ServerOptions, TestHive};
use serde_json::json;

use crate::support::text;

async fn hive_with(args: &[&str]) -> TestHive {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await
}

async fn login(hive: &TestHive) -> Rest {
    let login = json!({"username": "admin", "password": hive.password()});
    let login = hive.anonymous().post("/api/v1/auth/login", &login).await.data();
    hive.anonymous().bearer(text(&login["token"]))
}

#[tokio::test]
async fn a_login_has_a_rate_and_an_api_key_has_none() {
    let hive = hive_with(&["--login-calls-per-minute", "60"]).await;
    let login = login(&hive).await;
    let mut refused = None;
    for call in 1..=200 {
        let answer = login.get("/api/v1/auth/me").await;
        if answer.status == 429 {
            refused = Some((call, answer));
            break;
        }
    }
    let (call, answer) = refused.expect("no call was refused");
    assert!((121..=150).contains(&call), "the burst is 120, and one call a second more: {call}");
    assert_eq!(answer.headers["retry-after"], "1");
    for _ in 0..200 {
        assert!(hive.rest().get("/api/v1/auth/me").await.is_success());
    }
}

#[tokio::test]
async fn commands_of_a_login_count_for_each_satellite() {
    let hive = hive_with(&["--login-commands-per-minute", "3"]).await;
    let (one, other) = (hive.satellite("web-server-01").await, hive.satellite("web-server-02").await);
    let login = login(&hive).await;
    let exec = async |path: String| login.post(&path, &json!({"command": "true"})).await.status;
    for _ in 0..3 {
        assert_eq!(exec(one.path("/exec")).await, 200);
    }
    assert_eq!(exec(one.path("/exec")).await, 429);
    assert_eq!(exec(other.path("/exec")).await, 200);
    for _ in 0..5 {
        assert_eq!(hive.exec(&one, "true").await["status"], "succeeded", "with an API key");
    }
}

#[tokio::test]
async fn a_command_on_selected_satellites_counts_once_for_each() {
    let hive = hive_with(&["--login-commands-per-minute", "3"]).await;
    let satellite = hive.satellite("web-server-01").await;
    let login = login(&hive).await;
    let body = json!({ "targets": ["all"], "command": "true" });
    assert_eq!(login.post("/api/v1/jobs", &body).await.status, 202);
    for _ in 0..2 {
        assert_eq!(login.post("/api/v1/exec", &body).await.status, 200);
    }
    for path in ["/api/v1/exec", "/api/v1/jobs"] {
        let refused = login.post(path, &body).await;
        assert_eq!(refused.refusal(), (429, "RATE_LIMITED".into()));
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=20).contains(&wait), "one command in 20 seconds: {wait}");
    }
    assert_eq!(login.post(&satellite.path("/exec"), &json!({ "command": "true" })).await.status, 200);
}

#[tokio::test]
async fn a_key_is_held_to_the_rate_that_is_set_on_it() {
    let mut hive = TestHive::start().await;
    let limited = json!({ "name": "ci", "rate_per_minute": 6 });
    let key = hive.rest().post("/api/v1/api-keys", &limited).await.data();
    let key = hive.anonymous().with("x-api-key", text(&key["api_key"]));
    // Each call counts: a read, an act, and the opening of a socket.
    let no_session = "/api/v1/sessions/ses_01h455vb4pex5vsknk084sn02q/attach";
    let calls = ["/api/v1/auth/me", "/api/v1/satellites", "/api/v1/jobs", "/api/v1/groups", "/api/v1/tags", no_session];
    for path in calls {
        assert_ne!(key.get(path).await.status, 429, "{path}");
    }
    for path in ["/api/v1/auth/me", no_session] {
        let refused = key.get(path).await;
        assert_eq!(refused.refusal(), (429, "RATE_LIMITED".into()), "{path}");
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=11).contains(&wait), "one call in 10 seconds: {wait}");
    }
    // A key that is made with it has no rate of its own beside that.
    let maker = hive.rest().post("/api/v1/api-keys", &json!({ "name": "maker", "rate_per_minute": 3 })).await.data();
    let maker = hive.anonymous().with("x-api-key", text(&maker["api_key"]));
    let made = maker.post("/api/v1/api-keys", &json!({ "name": "made" })).await.data();
    let made = hive.anonymous().with("x-api-key", text(&made["api_key"]));
    let calls =
        [made.get("/api/v1/auth/me").await, made.get("/api/v1/auth/me").await, made.get("/api/v1/auth/me").await];
    assert_eq!(calls.map(|answer| answer.status), [200, 200, 429]);
    assert_eq!(maker.get("/api/v1/auth/me").await.status, 429);
    for _ in 0..20 {
        assert_eq!(hive.rest().get("/api/v1/auth/me").await.status, 200, "another key has no rate");
    }
    let log = hive.server().log();
    assert!(log.contains("calls are refused") && log.contains("key_calls"), "{log}");
}

#[tokio::test]
async fn five_wrong_passwords_lock_an_address_out_for_a_while() {
    let hive = TestHive::start().await;
    let try_password = async |address: [u8; 4], password: &str| {
        let body = json!({"username": "admin", "password": password});
        hive.anonymous().at(address).post("/api/v1/auth/login", &body).await
    };
    let (address, other) = ([127, 0, 0, 2], [127, 0, 0, 3]);
    for _ in 0..10 {
        assert!(try_password(address, hive.password()).await.is_success(), "right ones do not count");
    }
    for _ in 0..5 {
        assert_eq!(try_password(address, "wrong").await.status, 401);
    }
    let refused = try_password(address, hive.password()).await;
    assert_eq!(refused.refusal(), (429, "RATE_LIMITED".into()));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=13).contains(&wait), "one password in 12 seconds: {wait}");
    assert!(try_password(other, hive.password()).await.is_success());
}

#[tokio::test]
async fn names_in_use_cannot_be_collected() {
    let hive = hive_with(&["--taken-names-per-minute", "5"]).await;
    hive.new_team("ops").await;
    let create = async |slug: &str| hive.rest().post("/api/v1/teams", &json!({ "slug": slug })).await;
    for _ in 0..5 {
        assert_eq!(create("ops").await.refusal(), (409, "CONFLICT".into()));
    }
    let refused = create("ops").await;
    assert_eq!(refused.refusal(), (429, "RATE_LIMITED".into()));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(hive.rest().get("/api/v1/teams").await.status, 200, "what gives no name goes on");
    let token = hive.new_token(None).await;
    let satellite = hive.satellite("web-server-01").await;
    let body = json!({ "name": satellite.name(), "system_info": { "os": "linux", "arch": "x86_64" } });
    let register = async || hive.anonymous().bearer(&token).post("/api/satellites/register", &body).await.status;
    for _ in 0..5 {
        assert_eq!(register().await, 409);
    }
    assert_eq!(register().await, 429);
}

#[tokio::test]
async fn a_client_that_waits_is_not_refused() {
    let hive = hive_with(&["--login-calls-per-minute", "60"]).await;
    let request = LoginRequest { username: "admin".into(), password: hive.password().into() };
    let (impatient, _) = RemoteHive::login(hive.url(), request).await.unwrap();
    let patient = impatient.clone().with_rate_limit_wait(Duration::from_secs(30));
    let refusal = async {
        loop {
            if let Err(error) = impatient.identity().me().await {
                return error;
            }
        }
    };
    assert!(matches!(refusal.await, Error::RateLimited { retry_after_seconds: 1 }));
    patient.identity().me().await.expect("it waits for a second");
}

#[tokio::test]
async fn all_rates_can_be_turned_off() {
    let hive = hive_with(&["--no-limits"]).await;
    let login = login(&hive).await;
    for _ in 0..250 {
        assert!(login.get("/api/v1/auth/me").await.is_success());
    }
    let wrong = json!({"username": "admin", "password": "wrong"});
    for _ in 0..7 {
        assert_eq!(hive.anonymous().post("/api/v1/auth/login", &wrong).await.status, 401);
    }
}
