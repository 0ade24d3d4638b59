//! The round trip of an `immediate` command while 20,000 commands are queued for the same satellite: `true` over
//! `POST /satellites/:id/exec` on an open connection.
//!
//! The queued commands come from two callers. Commands that do not end occupy the places before them.
//! `HIVE_BENCH_COMMANDS` sets their number.

mod support {
    pub(crate) mod figure;
    pub(crate) mod http;
    pub(crate) mod samples;
}

use anyhow::{Context, ensure};
use hive_testkit::{SatelliteOptions, ServerOptions, TestHive, TestSatellite};
use serde_json::{Value, json};
use support::figure::{Figure, Peer, is_asked_for};
use support::http::KeepAlive;
use support::samples::percentile;
use tokio::task::JoinSet;
use tokio::time::Instant;

const COMMANDS: usize = 20_000;
/// Connections of each of the two callers.
const CONNECTIONS: usize = 16;
/// Commands that run concurrently. Half of the places are reserved for `immediate` commands.
const PLACES: usize = 8;
const ROUNDS: usize = 50;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let count = std::env::var("HIVE_BENCH_COMMANDS").map_or(Ok(COMMANDS), |text| text.parse())?;
    // Room for all of them, so that none is refused.
    let limit = (2 * count + PLACES).to_string();
    let args = ["--max-open-per-caller", &limit, "--max-queue-per-satellite", &limit].map(String::from).to_vec();
    let hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let mut options = SatelliteOptions::default();
    options.args(["--max-running", &PLACES.to_string()]);
    let satellite = hive.satellite_with("busy-satellite", options).await;
    let before = immediate(&hive, &satellite).await?;
    // The other half of the places is reserved for immediate commands.
    for _ in 0..PLACES / 2 {
        hive.submit(&satellite, &json!({"command": "sleep 3600", "timeout_seconds": 3600})).await;
    }
    let last = hand_in(&hive, &satellite, count).await?;
    let behind = immediate(&hive, &satellite).await?;
    // The queue must be long until the last round.
    ensure!(hive.command(&last).await["status"] == "queued", "the other commands are not queued");
    for (name, percent) in [("p50", 50), ("p95", 95), ("max", 100)] {
        let peer = Peer { name: "the same with an empty queue".into(), value: percentile(&before, percent) };
        let value = percentile(&behind, percent);
        let command = format!("an immediate `true`, {ROUNDS} rounds; {count} commands are queued for its satellite");
        Figure { bench: "immediate_overtakes", name, value, unit: "ms", peer: Some(peer), command }.print(&behind);
    }
    Ok(())
}

/// Runs `immediate` commands in sequence. Returns the milliseconds of each round trip.
async fn immediate(hive: &TestHive, satellite: &TestSatellite) -> anyhow::Result<Vec<f64>> {
    let mut connection = KeepAlive::open(hive.url(), hive.api_key()).await?;
    let mut milliseconds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let (_, answer) = connection.call("POST", &satellite.path("/exec"), r#"{"command":"true"}"#).await?;
        milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["data"]["status"] == "succeeded", "the command did not succeed: {answer}");
    }
    Ok(milliseconds)
}

/// Queues commands of two callers. Returns the id of one of the last.
async fn hand_in(hive: &TestHive, satellite: &TestSatellite, count: usize) -> anyhow::Result<String> {
    let mut connections = JoinSet::new();
    for caller in ["first", "second"] {
        hive.server_command(&["admin", "create", "--username", caller]).await;
        let key = hive.new_api_key(caller).await;
        for _ in 0..CONNECTIONS {
            let mut connection = KeepAlive::open(hive.url(), &key).await?;
            let path = satellite.path("/exec?wait=false");
            let share = count.div_ceil(2 * CONNECTIONS);
            connections.spawn(async move {
                let mut last = Value::Null;
                for _ in 0..share {
                    let body = r#"{"command":"true","expires_in_seconds":3600}"#;
                    let (status, answer) = connection.call("POST", &path, body).await?;
                    ensure!(status == 202, "not accepted: {status} {}", String::from_utf8_lossy(&answer));
                    last = serde_json::from_slice(&answer)?;
                }
                anyhow::Ok(last)
            });
        }
    }
    let mut last = None;
    for answer in connections.join_all().await {
        last = answer?["data"]["command_id"].as_str().map(String::from);
    }
    last.context("nothing was handed in")
}
