//! How the API feels while 10,000 satellites are online and send heartbeats. `HIVE_BENCH_LINKS` says how many there are.

mod support {
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod http;
    pub(crate) mod prober;
    pub(crate) mod samples;
}

use std::time::Duration;

use anyhow::ensure;
use hive_testkit::{Simulator, TestHive};
use support::figure::{Figure, is_asked_for};
use support::fleet;
use support::prober::Prober;
use support::samples::percentile;
use tokio::time::sleep;

const LINKS: usize = 10_000;
/// How long the links may take to open.
const PATIENCE: Duration = Duration::from_mins(3);
/// How long is looked at: each satellite is asked for its heartbeat at least twice.
const HOLD: Duration = Duration::from_secs(65);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let links = fleet::size(LINKS)?;
    let hive = TestHive::start().await;
    let identities = fleet::register(&hive, links).await?;
    // The simulator takes the identities.
    let first = identities[0].id.to_string();
    let simulator = Simulator::start(fleet::address_of(&hive), identities);
    let before = simulator.until("all links are up", PATIENCE, |tally| tally.online == links).await;
    let prober = Prober::start(&hive, &first);
    sleep(HOLD).await;
    let milliseconds = prober.finish()?;
    let after = simulator.tally();
    // As many handshakes as before: no link was lost and opened again meanwhile.
    ensure!(after.online == links && after.linked == before.linked, "a link did not last: {after:?}");
    let heartbeats = (after.heartbeats - before.heartbeats) as f64 / HOLD.as_secs_f64();
    let command =
        format!("{} calls of one client, {links} links, {heartbeats:.0} heartbeats a second", milliseconds.len());
    for (name, percent) in [("api_p50", 50), ("api_p95", 95), ("api_p99", 99)] {
        let value = percentile(&milliseconds, percent);
        Figure { bench: "api_under_load", name, value, unit: "ms", peer: None, command: command.clone() }
            .print(&milliseconds);
    }
    Ok(())
}
