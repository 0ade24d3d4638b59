//! How long a server needs after `kill -9` until it is ready again, with 10,000 satellites that want to come back and a
//! million audit records behind it.
//!
//! The records are written as the hive writes them, chained, before the clock runs. `HIVE_BENCH_LINKS` says how many
//! satellites there are, `HIVE_BENCH_RECORDS` how many records.

mod support {
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod samples;
}

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use hive_core::audit::{AuditAction, AuditDraft};
use hive_core::clock::ClockAndRng;
use hive_core::store::AuditStore;
use hive_core::store::sqlite;
use hive_core::wire::AuditId;
use hive_core::wire::api::Actor;
use hive_testkit::{Simulator, TestHive};
use serde_json::json;
use support::figure::{Figure, is_asked_for};
use support::fleet;
use support::samples::percentile;
use tokio::time::Instant;

const LINKS: usize = 10_000;
const RECORDS: u64 = 1_000_000;
const ROUNDS: usize = 3;
/// How long the links may take to open.
const PATIENCE: Duration = Duration::from_mins(3);
/// How long a probe that was not answered well waits for the next.
const PROBE_PAUSE: Duration = Duration::from_millis(1);
/// Records under way at the same time: more than the store writes at one go.
const WRITING: usize = 512;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let links = fleet::size(LINKS)?;
    let records = std::env::var("HIVE_BENCH_RECORDS").map_or(Ok(RECORDS), |text| text.parse())?;
    let mut hive = TestHive::start().await;
    let identities = fleet::register(&hive, links).await?;
    hive.server().stop().await;
    write_records(&hive, records).await?;
    hive.restart_server().await;
    let simulator = Simulator::start(fleet::address_of(&hive), identities);
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        simulator.until("all links are up", PATIENCE, |tally| tally.online == links).await;
        hive.kill_server();
        seconds.push(until_ready(&mut hive).await?);
    }
    let command = format!(
        "kill -9 to the first 200 of /health/ready; {links} satellites want to come back, {records} audit records; \
         {ROUNDS} times"
    );
    for (name, percent) in [("ready_p50", 50), ("ready_max", 100)] {
        let value = percentile(&seconds, percent);
        Figure { bench: "restart", name, value, unit: "s", peer: None, command: command.clone() }.print(&seconds);
    }
    Ok(())
}

/// Starts the server again; the seconds until it says that it is ready.
async fn until_ready(hive: &mut TestHive) -> anyhow::Result<f64> {
    let address = fleet::address_of(hive).parse()?;
    let began = Instant::now();
    // On a thread of its own, as somebody else's probe is: the crowd of this process must not make it late.
    let probing = std::thread::spawn(move || probe(address, began));
    hive.restart_server().await;
    tokio::task::spawn_blocking(|| probing.join()).await?.ok().context("the probe panicked")?
}

fn probe(address: SocketAddr, began: Instant) -> anyhow::Result<f64> {
    while !is_ready(address).unwrap_or(false) {
        ensure!(began.elapsed() < PATIENCE, "it is not ready");
        std::thread::sleep(PROBE_PAUSE);
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Asks once, over a new connection. One that is refused or cut says no.
fn is_ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET /health/ready HTTP/1.1\r\nhost: hive\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// Appends records to the log of a hive whose server is stopped.
async fn write_records(hive: &TestHive, count: u64) -> anyhow::Result<()> {
    let store = sqlite::open(&hive.data_dir().join("hive.db")).await?;
    let source = ClockAndRng::default();
    stream::iter(0..count)
        .map(|number| store.audit_append(draft(&source, number)))
        // Many at once, because the store commits all that wait together.
        .buffer_unordered(WRITING)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(store.close().await?)
}

fn draft(source: &ClockAndRng, number: u64) -> AuditDraft {
    let name = format!("user-{:03}", number % 100);
    let actor = Actor { kind: "user".into(), id: name.clone(), name, ip: Some("203.0.113.7".into()) };
    let (id, satellite) = (AuditId::new(source.seed()), format!("satellite-{:05}", number % 10_000));
    AuditDraft::new(id, source.now(), actor, AuditAction::SatelliteExec, satellite)
        .with_details(json!({ "command": "uptime", "number": number }))
}
