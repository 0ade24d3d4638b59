//! What a wall of user interfaces costs a server: how long an event takes to all of them, and how much of a processor it needs.
//!
//! The satellites send heartbeats, and every socket is subscribed to all of them, so that it gets metrics four times a second. Once a
//! second a satellite is changed by REST. An event counts from before the call until a socket has read it. `HIVE_BENCH_LINKS` and
//! `HIVE_BENCH_SOCKETS` say how many satellites and sockets there are, 1,000 each unless set, and `HIVE_BENCH_SECONDS` how long it
//! takes, 65 s unless set: two heartbeats of each satellite.

mod support {
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod samples;
}

use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hive_testkit::{ServerOptions, Simulator, TestHive, UiClient, procfs};
use serde_json::json;
use support::figure::{Figure, is_asked_for};
use support::fleet;
use support::samples::percentile;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

const SATELLITES: usize = 1_000;
const SOCKETS: usize = 1_000;
/// Two heartbeats of 30 s for each satellite.
const SECONDS: usize = 65;
/// Sockets that are opened at the same time.
const OPENING: usize = 32;
/// How long it may take until all links are up, and until the last event has come.
const PATIENCE: Duration = Duration::from_mins(2);
/// What the regions begin with by which the sockets recognise an event.
const MARK: &str = "event-";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let (satellites, sockets) = (fleet::size(SATELLITES)?, number("HIVE_BENCH_SOCKETS", SOCKETS)?);
    let seconds = number("HIVE_BENCH_SECONDS", SECONDS)?;
    let args = vec!["--no-limits".to_owned()];
    let mut hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let registered = fleet::register(&hive, satellites).await?;
    let changed = registered.first().context("there is a satellite")?.id;
    let address = fleet::address_of(&hive).to_owned();
    let simulator = Simulator::start(&address, registered);
    simulator.until("all links are up", PATIENCE, |tally| tally.online == satellites).await;

    let server = hive.server().pid();
    let before = procfs::resident(server);
    let clients = open(&address, hive.api_key(), sockets, satellites).await?;
    let per_socket = (procfs::resident(server) as f64 - before as f64) / sockets as f64;

    let begin = Instant::now();
    let (heard, mut arrivals) = mpsc::channel(64 * 1024);
    let mut readers = JoinSet::new();
    for client in clients {
        readers.spawn(read(client, begin, heard.clone()));
    }
    drop(heard);
    // After the burst of the first metrics.
    sleep(Duration::from_secs(2)).await;

    let (ticks, measured) = (procfs::processor_ticks(server), Instant::now());
    let mut sent = Vec::with_capacity(seconds);
    let mut every = interval(Duration::from_secs(1));
    for index in 0..seconds {
        every.tick().await;
        sent.push(begin.elapsed());
        let body = json!({ "region": format!("{MARK}{index}-") });
        let answer = hive.rest().put(&format!("/api/v1/satellites/{changed}"), &body).await;
        ensure!(answer.is_success(), "{}", answer.text());
    }
    let used = (procfs::processor_ticks(server) - ticks) as f64 / 100.0 / measured.elapsed().as_secs_f64();

    let mut latencies = Vec::with_capacity(seconds * sockets);
    while latencies.len() < seconds * sockets {
        let arrival = timeout(PATIENCE, arrivals.recv()).await.context("an event does not come")?;
        let (index, at): (usize, Duration) = arrival.context("all sockets ended")?;
        latencies.push(at.saturating_sub(sent[index]).as_secs_f64() * 1000.0);
    }
    let command = format!(
        "{sockets} UI sockets subscribed to {satellites} satellites with heartbeats, a change a second, for {seconds} s"
    );
    let report = |name, value, unit, samples: &[f64]| {
        Figure { bench: "ui_sockets", name, value, unit, peer: None, command: command.clone() }.print(samples);
    };
    report("event_p95", percentile(&latencies, 95), "ms", &latencies);
    report("event_p50", percentile(&latencies, 50), "ms", &latencies);
    report("server_cores", used, "cores", &[used]);
    report("rss_per_socket", per_socket, "bytes", &[per_socket]);
    simulator.stop().await;
    Ok(())
}

fn number(variable: &str, usual: usize) -> anyhow::Result<usize> {
    Ok(std::env::var(variable).map_or(Ok(usual), |text| text.parse())?)
}

/// Opens the sockets, and subscribes each to all satellites.
async fn open(address: &str, key: &str, sockets: usize, satellites: usize) -> anyhow::Result<Vec<UiClient>> {
    let opening = (0..sockets).map(|_| async move {
        let mut client = UiClient::open(address, key).await;
        ensure!(client.initial_pages().await.iter().sum::<usize>() == satellites, "a satellite is missing");
        client.act("subscribe", json!({ "satellites": ["*"] })).await;
        Ok(client)
    });
    stream::iter(opening).buffer_unordered(OPENING).try_collect().await
}

/// Reads a socket, and reports each event with the time of its arrival.
async fn read(mut client: UiClient, begin: Instant, heard: mpsc::Sender<(usize, Duration)>) -> anyhow::Result<()> {
    while let Some(message) = client.socket.next().await {
        let Message::Text(text) = message? else { continue };
        // Not parsed: the metrics of a thousand satellites for a thousand sockets would take the processor of the server.
        let Some((_, rest)) = text.split_once(MARK) else { continue };
        let index =
            rest.split_once('-').and_then(|(index, _)| index.parse().ok()).context("an event has its number")?;
        if heard.send((index, begin.elapsed())).await.is_err() {
            break;
        }
    }
    Ok(())
}
