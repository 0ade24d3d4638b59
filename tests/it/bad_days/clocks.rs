//! Clocks that are wrong by a day, or are put right by one.

use std::time::Duration;

use hive_testkit::{FaultProxy, SatelliteOptions, ServerOptions, TestHive, TestSatellite, WallClock};
use serde_json::json;
use tokio::time::Instant;

use crate::support::text;

const DAY: i64 = 24 * 3600;

/// A hive whose server looks at this clock.
async fn hive_with(clock: &WallClock) -> TestHive {
    TestHive::start_with(ServerOptions { env: clock.env(), ..ServerOptions::default() }).await
}

/// A command that would take a minute is over in the second it was given.
async fn expect_timeouts(hive: &TestHive, satellite: &TestSatellite) {
    let begin = Instant::now();
    let id = hive.submit(satellite, &json!({"command": "sleep 60", "timeout_seconds": 1})).await;
    let command = hive.until_status(&id, "timed_out").await;
    let (took, told) = (begin.elapsed(), command["duration_ms"].as_u64().unwrap());
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    assert!((900..10_000).contains(&told), "{command}");
}

#[tokio::test]
async fn a_satellite_whose_clock_is_a_day_off_works() {
    let hive = TestHive::start().await;
    for (name, seconds) in [("a-day-ahead", DAY), ("a-day-behind", -DAY)] {
        let clock = WallClock::off_by(seconds);
        let options = SatelliteOptions { env: clock.env(), ..SatelliteOptions::default() };
        let mut satellite = hive.satellite_with(name, options).await;
        assert_eq!(hive.exec(&satellite, "echo works").await["stdout"], "works\n");
        expect_timeouts(&hive, &satellite).await;
        // The clock is put right while a command runs.
        let gate = hive.dir().join(name).join("gate");
        let line = format!("until test -e {}; do sleep 0.01; done", gate.display());
        let id = hive.submit(&satellite, &json!({"command": line})).await;
        hive.until_status(&id, "started").await;
        clock.set(0);
        assert_eq!(hive.exec(&satellite, "echo works").await["stdout"], "works\n");
        satellite.process().kill();
        satellite.restart().await;
        hive.until_status(&id, "outcome_unknown").await;
    }
}

#[tokio::test]
async fn a_server_whose_clock_jumps_by_a_day_ends_nothing_for_it() {
    let clock = WallClock::off_by(0);
    let hive = hive_with(&clock).await;
    // The proxy counts connections, so that a link that was lost and came back shows.
    let proxy = FaultProxy::start(hive.url());
    let options = SatelliteOptions { server: Some(proxy.url().to_owned()), ..SatelliteOptions::default() };
    let satellite = hive.satellite_with("web-server-01", options).await;
    let mut absent = hive.satellite("absent-server").await;
    absent.process().stop().await;
    hive.until_online(&absent, false).await;

    let gate = hive.dir().join("gate");
    let line = format!("until test -e {}; do sleep 0.01; done", gate.display());
    let running = hive.submit(&satellite, &json!({"command": line})).await;
    hive.until_status(&running, "started").await;
    let queued = hive.submit(&absent, &json!({"command": "true"})).await;
    let session = hive.rest().post("/api/v1/sessions", &json!({"satellite_id": satellite.id()})).await.data();
    let session = format!("/api/v1/sessions/{}", text(&session["id"]));
    let (connections, status) = (proxy.connections(), hive.rest().get(&session).await.data()["status"].clone());

    for seconds in [DAY, -DAY] {
        clock.set(seconds);
        if seconds > 0 {
            // What expires does so in its own time, and shows that the server has looked.
            let begin = Instant::now();
            let short = hive.submit(&absent, &json!({"command": "true", "expires_in_seconds": 1})).await;
            hive.until_status(&short, "expired").await;
            assert!(begin.elapsed() > Duration::from_millis(900), "it expired at once");
        }
        expect_timeouts(&hive, &satellite).await;
        assert_eq!(hive.command(&running).await["status"], "started");
        assert_eq!(hive.command(&queued).await["status"], "queued");
        assert_eq!(hive.rest().get(&session).await.data()["status"], status);
        assert_eq!(proxy.connections(), connections, "the link is the same");
    }
    std::fs::write(gate, "").unwrap();
    hive.until_status(&running, "succeeded").await;
    absent.restart().await;
    hive.until_status(&queued, "succeeded").await;
}

#[tokio::test]
async fn tokens_outlive_their_end_by_a_minute_and_no_more() {
    // Both are made for an hour.
    const HOUR: i64 = 3600;
    let clock = WallClock::off_by(0);
    let hive = hive_with(&clock).await;
    let register = async |token: &str, name: &str| {
        hive.anonymous().bearer(token).post("/api/satellites/register", &json!({"name": name})).await
    };
    let (first, second) = (hive.new_token(None).await, hive.new_token(None).await);
    let login = json!({"username": "admin", "password": hive.password()});
    let token = hive.anonymous().post("/api/v1/auth/login", &login).await.data()["token"].clone();
    let me = async || hive.anonymous().bearer(text(&token)).get("/api/v1/auth/me").await.status;

    // The leeway is a minute: 30 s are within it, and 90 s are not.
    clock.set(HOUR + 30);
    assert!(register(&first, "in-the-leeway").await.is_success());
    assert_eq!(me().await, 200);
    clock.set(HOUR + 90);
    let refused = register(&second, "behind-the-leeway").await;
    assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("registration_token_expired")));
    assert_eq!(me().await, 401);
    // A token made by a clock that was ahead is good as well.
    clock.set(-DAY);
    assert!(register(&second, "behind-the-leeway").await.is_success());
    assert_eq!(me().await, 200);
}
