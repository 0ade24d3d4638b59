//! How long `true` takes on many satellites, from the request to the last result: `POST /exec` for all.
//!
//! On 1,000 simulated ones it is the server that is measured. On 20 real ones the machine starts 20 shells too, and beside
//! them stands Salt with 20 minions of its own, by turns, from a client that is already there. `HIVE_BENCH_LINKS` says how
//! many simulated ones there are; where Salt cannot be installed, the figure has no peer and the reason stands on standard
//! error.

mod support {
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod http;
    pub(crate) mod salt;
    pub(crate) mod samples;
}

use std::time::Duration;

use anyhow::ensure;
use hive_core::wire::api::MAX_IN_FLIGHT;
use hive_testkit::{Simulator, TestHive};
use serde_json::{Value, json};
use support::figure::{Figure, Peer, is_asked_for};
use support::fleet;
use support::http::KeepAlive;
use support::salt::Salt;
use support::samples::percentile;
use tokio::time::Instant;

const SIMULATED: usize = 1_000;
const REAL: usize = 20;
const ROUNDS: usize = 20;
/// How long the links may take to open.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    simulated().await?;
    real().await
}

async fn simulated() -> anyhow::Result<()> {
    let count = fleet::size(SIMULATED)?;
    let hive = TestHive::start().await;
    let simulator = Simulator::start(fleet::address_of(&hive), fleet::register(&hive, count).await?);
    simulator.until("all are online", PATIENCE, |tally| tally.online == count).await;
    let mut connection = KeepAlive::open(hive.url(), hive.api_key()).await?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        seconds.push(fan_out(&mut connection, count).await?);
    }
    // Each result must come from a run, or the figure means nothing.
    ensure!(simulator.tally().runs == (ROUNDS * count) as u64, "not each ran each: {:?}", simulator.tally());
    let command = format!("`true` on {count} simulated satellites, {ROUNDS} rounds");
    report("simulated_p50", &seconds, None, &command);
    Ok(())
}

#[expect(clippy::print_stderr, reason = "standard output holds figures alone")]
async fn real() -> anyhow::Result<()> {
    let hive = TestHive::start().await;
    let mut satellites = Vec::new();
    for number in 0..REAL {
        satellites.push(hive.satellite(&format!("satellite-{number:02}")).await);
    }
    let mut salt = Salt::start(REAL).await.inspect_err(|error| eprintln!("no figure of Salt: {error:#}")).ok();
    let mut connection = KeepAlive::open(hive.url(), hive.api_key()).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(fan_out(&mut connection, REAL).await?);
        if let Some(salt) = &mut salt {
            theirs.push(salt.run().await?);
        }
    }
    let peer = salt.map(|salt| Peer { name: salt.name, value: percentile(&theirs, 50) });
    let command = format!("`true` on {REAL} agents, {ROUNDS} rounds by turns");
    report("real_p50", &ours, peer, &command);
    Ok(())
}

/// Runs `true` on all satellites; the seconds until all results are here.
async fn fan_out(connection: &mut KeepAlive, count: usize) -> anyhow::Result<f64> {
    // The largest concurrency: a smaller one would be measured instead of the server.
    let body = json!({ "targets": ["all"], "command": "true", "concurrency": MAX_IN_FLIGHT }).to_string();
    let began = Instant::now();
    let (_, answer) = connection.call("POST", "/api/v1/exec", &body).await?;
    let seconds = began.elapsed().as_secs_f64();
    let answer: Value = serde_json::from_slice(&answer)?;
    let results = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let succeeded = results.iter().filter(|result| result["status"] == "succeeded").count();
    ensure!(succeeded == count, "{succeeded} of {count} succeeded");
    Ok(seconds)
}

fn report(name: &'static str, seconds: &[f64], peer: Option<Peer>, command: &str) {
    let value = percentile(seconds, 50);
    Figure { bench: "fan_out", name, value, unit: "s", peer, command: command.into() }.print(seconds);
}
