//! What both sides make of a network that lies, damages or forbids.

use std::time::Duration;

use hive_testkit::{FaultProxy, SatelliteOptions, ServerOptions, TestHive, TestSatellite, Toward, Upgrades, until};
use serde_json::json;
use tokio::time::Instant;

use crate::support::counted_to;

/// A hive that says why it closes a link.
async fn hive_with(args: &[&str]) -> TestHive {
    let args = args.iter().map(ToString::to_string).collect();
    let env = vec![("HIVE_LOG_LEVEL".to_owned(), "info,hive_server=debug".to_owned())];
    TestHive::start_with(ServerOptions { args, env, ..ServerOptions::default() }).await
}

/// A satellite that is quick to dial again.
async fn behind(hive: &TestHive, proxy: &FaultProxy) -> TestSatellite {
    let mut options = SatelliteOptions { server: Some(proxy.url().to_owned()), ..SatelliteOptions::default() };
    // Short pauses, so that a test sees several attempts.
    options.args(["--reconnect-initial", "0.05", "--reconnect-max", "0.2", "--handshake-timeout", "0.5"]);
    hive.satellite_with("web-server-01", options).await
}

#[tokio::test]
async fn a_link_on_which_nothing_flows_is_found_by_its_heartbeats() {
    let hive = hive_with(&["--heartbeat-interval", "1", "--heartbeat-timeout", "3"]).await;
    let proxy = FaultProxy::start(hive.url());
    let satellite = behind(&hive, &proxy).await;
    let (begin, connections) = (Instant::now(), proxy.connections());
    // Both sides believe that it is up; new connections wait as well, so that neither hears of the other.
    proxy.hold(true);
    until("the satellite gave up and dialled again", async || proxy.connections() > connections).await;
    hive.until_online(&satellite, false).await;
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(1), "not by silence: {took:?}");
    assert!(took < Duration::from_secs(10), "not by heartbeats: {took:?}");
    proxy.hold(false);
    hive.until_online(&satellite, true).await;
    assert_eq!(hive.exec(&satellite, "echo back").await["stdout"], "back\n");
}

#[tokio::test]
async fn a_narrow_link_is_slow_and_stays_up() {
    let hive = hive_with(&["--heartbeat-interval", "1", "--heartbeat-timeout", "3"]).await;
    // 40 KB/s: the output below takes more than 5 s, longer than the heartbeat timeout.
    let proxy = FaultProxy::start_narrow(hive.url(), 40_000);
    let satellite = behind(&hive, &proxy).await;
    let connections = proxy.connections();
    let begin = Instant::now();
    // More than passes before heartbeats are missed, were they to wait behind it.
    let result = hive.exec(&satellite, "seq 1 40000").await;
    let took = begin.elapsed();
    assert!(result["stdout"] == counted_to(40_000), "bytes are missing or changed");
    assert!(took > Duration::from_secs(4), "the link is not narrow: {took:?}");
    assert_eq!(proxy.connections(), connections, "the link was lost");
}

#[tokio::test]
async fn a_damaged_message_ends_the_link_and_costs_nothing_else() {
    let mut hive = hive_with(&[]).await;
    let proxy = FaultProxy::start(hive.url());
    let mut satellite = behind(&hive, &proxy).await;
    let runs = hive.dir().join("runs");
    for (toward, number) in [(Toward::Client, 1), (Toward::Server, 2)] {
        let before = proxy.connections();
        proxy.corrupt(toward);
        let line = format!("echo {number} >> {}; echo {number}", runs.display());
        let id = hive.submit(&satellite, &json!({"command": line})).await;
        assert_eq!(hive.until_status(&id, "succeeded").await["stdout"], format!("{number}\n"));
        assert!(!proxy.is_corrupting(toward) && proxy.connections() > before, "the link was not broken {toward:?}");
    }
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "1\n2\n", "each ran once");
    assert!(satellite.process().log().contains("(4400, "), "the satellite was not told: {}", satellite.process().log());
    let server = hive.server().log();
    assert!(server.contains("close.code=4400"), "the server did not say why: {server}");
}

#[tokio::test]
async fn a_satellite_that_may_not_use_websockets_says_so_and_waits() {
    let hive = TestHive::start().await;
    let proxy = FaultProxy::start(hive.url());
    let mut satellite = behind(&hive, &proxy).await;
    for (upgrades, message) in [
        (
            Upgrades::Refuse,
            "answers 403 Forbidden to the WebSocket upgrade; what stands in between must let WebSockets",
        ),
        (Upgrades::Hang, "the WebSocket upgrade is not answered (what stands in between must let WebSockets"),
    ] {
        proxy.upgrades(upgrades);
        let begin = (Instant::now(), proxy.connections());
        proxy.cut();
        let mut times = || satellite.process().log().matches(message).count();
        until("the satellite has been refused some times", async || times() >= 4).await;
        // Pauses of at most 0.2 s are short; without any there would be hundreds.
        let (took, tries) = (begin.0.elapsed(), proxy.connections() - begin.1);
        assert!(tries as f64 <= 4.0 + took.as_secs_f64() / 0.01, "{tries} tries in {took:?}");
        let others = hive_testkit::Rest::new(proxy.url()).get("/api/health").await;
        assert_eq!(others.status, 200, "everything but WebSockets passes");
        proxy.upgrades(Upgrades::Pass);
        proxy.cut();
        hive.until_online(&satellite, true).await;
        assert_eq!(hive.exec(&satellite, "echo back").await["stdout"], "back\n");
    }
}
