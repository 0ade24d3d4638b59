//! What a satellite that does nothing costs its server: memory per link, heartbeats included.
//!
//! The satellites are real WebSocket clients in a process of their own, each with a key that it registered for. The
//! server starts anew after the registrations, so that nothing they left behind is counted or reused. The peer is a bare
//! tokio-tungstenite server under the same satellites. `HIVE_BENCH_LINKS` says how many there are, 5,000 unless set.

mod support {
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod hub;
    pub(crate) mod memory;
    pub(crate) mod roles;
    pub(crate) mod samples;
}

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hive_testkit::{SimulatedIdentity, Simulator, TestHive};
use serde::{Deserialize, Serialize};
use support::figure::{Figure, Peer, is_asked_for};
use support::fleet;
use support::hub;
use support::memory::Memory;
use support::roles::{first_line, start, while_wanted};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

const LINKS: usize = 5_000;
/// How long the links are held: two heartbeats of 30 s for each of them.
const HOLD: Duration = Duration::from_secs(65);
/// How long it may take to open them all.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the simulator says once every link is up.
#[derive(Serialize, Deserialize)]
struct IdleLink {
    links: usize,
    seconds: f64,
}

/// What the links cost one server.
struct Cost {
    resident: f64,
    proportional: f64,
    seconds_to_link: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[1..] {
        ["simulate", address, identities] => while_wanted(simulate(address, Path::new(identities))).await,
        ["hub"] => while_wanted(hub::run()).await,
        _ if is_asked_for() => measure().await,
        _ => Ok(()),
    }
}

/// Opens a link for each identity in the file, tells when all are up, and holds them until one ends.
#[expect(clippy::print_stdout, reason = "the bench that started this process reads it")]
async fn simulate(address: &str, identities: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(identities)?;
    let identities = text.lines().map(serde_json::from_str).collect::<Result<Vec<SimulatedIdentity>, _>>()?;
    let (links, began) = (identities.len(), Instant::now());
    let simulator = Simulator::start(address, identities);
    simulator.until("all links are up", PATIENCE, |tally| tally.online == links).await;
    println!("{}", serde_json::to_string(&IdleLink { links, seconds: began.elapsed().as_secs_f64() })?);
    simulator.until("a link ends", 2 * HOLD, |tally| tally.online < links).await;
    anyhow::bail!("a link ended: {:?}", simulator.tally())
}

async fn measure() -> anyhow::Result<()> {
    let links = fleet::size(LINKS)?;
    let directory = tempfile::tempdir()?;
    let identities = directory.path().join("identities.jsonl");
    let mut hive = TestHive::start().await;
    let registered = fleet::register(&hive, links).await?;
    let lines = registered.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    std::fs::write(&identities, lines.join("\n"))?;
    // What the registrations left in the memory of the server must not count.
    hive.server().stop().await;
    hive.restart_server().await;

    let address = fleet::address_of(&hive).to_owned();
    let ours = cost(hive.server().pid().cast_unsigned(), &address, &identities).await?;
    // The two servers run one after the other, so that each has the machine to itself.
    drop(hive);

    let (hub, address) = start_hub().await?;
    let bare = cost(hub.id().context("the hub runs")?, &address, &identities).await?;
    report("pss_per_link", ours.proportional, bare.proportional, "bytes", links);
    report("rss_per_link", ours.resident, bare.resident, "bytes", links);
    report("all_linked", ours.seconds_to_link, bare.seconds_to_link, "s", links);
    Ok(())
}

/// Opens all links to a server, holds them, and divides what it has grown by.
async fn cost(server: u32, address: &str, identities: &Path) -> anyhow::Result<Cost> {
    let before = Memory::of(server)?;
    let mut simulator = start(&["simulate", address, identities.to_str().context("the path is text")?])?;
    let linked: IdleLink = first_line(&mut simulator).await?;
    sleep(HOLD).await;
    let after = Memory::of(server)?;
    ensure!(simulator.try_wait()?.is_none(), "a link did not last");
    let per_link = |before: u64, after: u64| (after as f64 - before as f64) / linked.links as f64;
    Ok(Cost {
        resident: per_link(before.resident, after.resident),
        proportional: per_link(before.proportional, after.proportional),
        seconds_to_link: linked.seconds,
    })
}

async fn start_hub() -> anyhow::Result<(Child, String)> {
    let mut hub = start(&["hub"])?;
    let address = first_line(&mut hub).await?;
    Ok((hub, address))
}

fn report(name: &'static str, value: f64, of_peer: f64, unit: &'static str, links: usize) {
    Figure {
        bench: "idle_satellites",
        name,
        value,
        unit,
        peer: Some(Peer { name: "bare tokio-tungstenite server with 4 KiB read buffers".into(), value: of_peer }),
        command: format!("{links} links with heartbeats, held for {} s", HOLD.as_secs()),
    }
    .print(&[value]);
}
