//! A server with 10,000 satellites is killed and started again: how long until all of them are back, and how the API feels
//! meanwhile.
//!
//! The satellites are real WebSocket clients that reconnect by the agent's own rules. `HIVE_BENCH_LINKS` says how many
//! there are.

mod support {
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod http;
    pub(crate) mod prober;
    pub(crate) mod samples;
}

use std::time::Duration;

use hive_testkit::{Simulator, TestHive};
use support::figure::{Figure, is_asked_for};
use support::fleet;
use support::prober::Prober;
use support::samples::percentile;
use tokio::time::Instant;

const LINKS: usize = 10_000;
/// How long it may take: the figure says whether that is good enough.
const PATIENCE: Duration = Duration::from_mins(3);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let links = fleet::size(LINKS)?;
    let mut hive = TestHive::start().await;
    let identities = fleet::register(&hive, links).await?;
    let first = identities[0].id.to_string();
    let simulator = Simulator::start(fleet::address_of(&hive), identities);
    let before = simulator.until("all links are up", PATIENCE, |tally| tally.online == links).await;

    hive.kill_server();
    let killed = Instant::now();
    hive.restart_server().await;
    let ready = killed.elapsed();
    // Only now: calls to a server that is not there would not be about the crowd.
    let prober = Prober::start(&hive, &first);
    let after = simulator.until("all are back", PATIENCE, |tally| tally.online == links).await;
    let back = killed.elapsed();
    let milliseconds = prober.finish()?;

    let refused = after.told_to_wait - before.told_to_wait;
    let command = format!("kill -9, start again; {links} satellites reconnect, {refused} times told to wait");
    report("listening", 50, &[ready.as_secs_f64()], "s", &command);
    report("all_back", 50, &[back.as_secs_f64()], "s", &command);
    let command = format!("{} calls from the start until all {links} are back, one client", milliseconds.len());
    for (name, percent) in [("api_p50", 50), ("api_p95", 95), ("api_max", 100)] {
        report(name, percent, &milliseconds, "ms", &command);
    }
    Ok(())
}

fn report(name: &'static str, percent: usize, samples: &[f64], unit: &'static str, command: &str) {
    let value = percentile(samples, percent);
    Figure { bench: "storm", name, value, unit, peer: None, command: command.into() }.print(samples);
}
