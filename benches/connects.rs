//! How many satellites a server takes in a second: connection, key and handshake, until the handshake is accepted.
//!
//! The satellites are real WebSocket clients, 64 of them connecting at the same time. The limits of the server are set so high that
//! they refuse none, because its own work is measured. `first` is the first link of each satellite, which activates it and is
//! audited. `returning` follows a start of the server, which then verifies each key anew. `HIVE_BENCH_LINKS` is the number of
//! satellites.

mod support {
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod samples;
}

use std::time::Duration;

use anyhow::ensure;
use hive_testkit::{ServerOptions, SimulatedIdentity, Simulator, TestHive};
use support::figure::{Figure, is_asked_for};
use support::fleet;
use support::samples::percentile;
use tokio::time::Instant;

const LINKS: usize = 5_000;
/// How often all satellites return.
const ROUNDS: usize = 5;
/// How long it may take to open all links.
const PATIENCE: Duration = Duration::from_mins(2);
/// More than any server takes in a second.
const NO_LIMIT: &str = "1000000";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let links = fleet::size(LINKS)?;
    let args = ["--handshake-rate", NO_LIMIT, "--max-handshakes", NO_LIMIT].map(Into::into).into();
    let mut hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let identities = fleet::register(&hive, links).await?;
    let first = connect_all(&hive, &identities).await?;
    let mut returning = Vec::new();
    for _ in 0..ROUNDS {
        hive.server().stop().await;
        hive.restart_server().await;
        returning.push(connect_all(&hive, &identities).await?);
    }
    report("first", &[first], &format!("the first link of each of {links} satellites"));
    report(
        "returning",
        &returning,
        &format!("links of {links} satellites after a start of the server, {ROUNDS} times"),
    );
    Ok(())
}

/// Opens a link for each satellite and closes them all. Returns how many were accepted in a second.
async fn connect_all(hive: &TestHive, identities: &[SimulatedIdentity]) -> anyhow::Result<f64> {
    let (links, began) = (identities.len(), Instant::now());
    let simulator = Simulator::start(fleet::address_of(hive), identities.to_vec());
    let tally = simulator.until("all links are up", PATIENCE, |tally| tally.online == links).await;
    let seconds = began.elapsed().as_secs_f64();
    // A refused satellite waits before it tries again, and that pause would be measured.
    ensure!(tally.linked == links as u64 && tally.told_to_wait + tally.failed == 0, "some came twice: {tally:?}");
    simulator.stop().await;
    Ok(links as f64 / seconds)
}

fn report(name: &'static str, rates: &[f64], what: &str) {
    let command = format!("{what}, 64 at the same time, no admission control");
    Figure { bench: "connects", name, value: percentile(rates, 50), unit: "connects/s", peer: None, command }
        .print(rates);
}
