//! How many commands a server accepts in a second, each on disk before it is answered: `?wait=false`.
//!
//! First for simulated satellites that are online and answer at once, so that each command is stored, delivered, started
//! and finished; then for the same ones when they are offline, so that accepting is all that happens. With
//! `HIVE_BENCH_POSTGRES`, the URL of an empty database, the same again there.

mod support {
    pub(crate) mod figure;
    pub(crate) mod http;
    pub(crate) mod samples;
}

use std::time::Duration;

use anyhow::ensure;
use hive_core::RemoteHive;
use hive_testkit::{ServerOptions, SimulatedIdentity, Simulator, TestHive, enrol};
use support::figure::{Figure, is_asked_for};
use support::http::KeepAlive;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SATELLITES: usize = 100;
/// Connections that hand in one command after the other.
const CALLERS: usize = 64;
const HOLD: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    measure(ServerOptions::default(), ["run_sqlite", "accepted_sqlite"]).await?;
    if let Ok(url) = std::env::var("HIVE_BENCH_POSTGRES") {
        let options = ServerOptions { database: Some(url), ..ServerOptions::default() };
        measure(options, ["run_postgres", "accepted_postgres"]).await?;
    }
    Ok(())
}

async fn measure(options: ServerOptions, [run, queued]: [&'static str; 2]) -> anyhow::Result<()> {
    let mut options = options;
    // One caller has them all, and while the satellites are away none ends.
    options
        .args
        .extend(["--max-open-per-caller", "10000000", "--max-queue-per-satellite", "10000000"].map(String::from));
    let hive = TestHive::start_with(options).await;
    let identities = enrol(&RemoteHive::connect(hive.url(), hive.api_key().into())?, SATELLITES).await?;
    let simulator = Simulator::start(hive.url().trim_start_matches("http://"), identities.clone());
    simulator.until("all are online", PATIENCE, |tally| tally.online == SATELLITES).await;

    let began = Instant::now();
    let accepted = hand_in(&hive, &identities).await?;
    simulator.until("all have run", PATIENCE, |tally| tally.runs == total(&accepted)).await;
    report(run, &accepted, began.elapsed(), "online, until all have run");

    // Offline, so that the same calls only store and queue.
    simulator.stop().await;
    let began = Instant::now();
    let accepted = hand_in(&hive, &identities).await?;
    report(queued, &accepted, began.elapsed(), "offline, so that they queue");
    Ok(())
}

/// Hands in commands for a while; how many were accepted in each second of it.
async fn hand_in(hive: &TestHive, satellites: &[SimulatedIdentity]) -> anyhow::Result<Vec<u64>> {
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let path = format!("/api/v1/satellites/{}/exec?wait=false", satellites[caller % satellites.len()].id);
        let mut connection = KeepAlive::open(hive.url(), hive.api_key()).await?;
        callers.spawn(async move {
            let mut accepted = vec![0; HOLD.as_secs() as usize];
            // Ends with the last second that has a counter.
            while let Some(second) = accepted.get_mut(began.elapsed().as_secs() as usize) {
                let (status, answer) = connection.call("POST", &path, r#"{"command":"true"}"#).await?;
                ensure!(status == 202, "not accepted: {status} {}", String::from_utf8_lossy(&answer));
                *second += 1;
            }
            anyhow::Ok(accepted)
        });
    }
    let mut all = vec![0; HOLD.as_secs() as usize];
    for accepted in callers.join_all().await {
        all.iter_mut().zip(accepted?).for_each(|(all, one)| *all += one);
    }
    Ok(all)
}

fn total(accepted: &[u64]) -> u64 {
    accepted.iter().sum()
}

fn report(name: &'static str, accepted: &[u64], took: Duration, satellites: &str) {
    let value = total(accepted) as f64 / took.as_secs_f64();
    let of_each_second: Vec<f64> = accepted.iter().map(|count| *count as f64).collect();
    let command = format!(
        "POST /api/v1/satellites/:id/exec?wait=false of `true` over {CALLERS} connections for {} s; {SATELLITES} satellites, \
         {satellites}",
        HOLD.as_secs()
    );
    Figure { bench: "durable_commands", name, value, unit: "commands/s", peer: None, command }.print(&of_each_second);
}
