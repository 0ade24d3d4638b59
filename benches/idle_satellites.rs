//! What a satellite that does nothing costs its server: memory per link, heartbeats included.
//!
//! The satellites are real WebSocket clients in a process of their own, each with a key that it registered for. The
//! server starts anew after the registrations, so that nothing they left behind is counted or reused. The peer is a bare
//! tokio-tungstenite server under the same satellites. `HIVE_BENCH_LINKS` says how many there are, 5,000 unless set.

mod support {
    pub(crate) mod figure;
    pub(crate) mod hub;
    pub(crate) mod memory;
    pub(crate) mod simulator;
}

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use hive_core::wire::api::{RegistrationTokenCreate, TokenScope};
use hive_core::wire::satellite_api::{RegisterRequest, RegisterSystemInfo};
use hive_core::{DeviceRegistry, Identity as _, RemoteHive};
use hive_testkit::TestHive;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::de::DeserializeOwned;
use support::figure::{Figure, Peer, is_asked_for};
use support::memory::Memory;
use support::simulator::{Identity, Linked};
use support::{hub, simulator};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

const LINKS: usize = 5_000;
/// Registrations under way at the same time.
const REGISTERING: usize = 16;
/// Open files beside the links: the database, the listener, the standard streams.
const OTHER_FILES: u64 = 500;
/// How long the links are held: two heartbeats of 30 s for each of them.
const HOLD: Duration = Duration::from_secs(65);

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
        ["simulate", address, identities] => while_wanted(simulator::run(address, Path::new(identities))).await,
        ["hub"] => while_wanted(hub::run()).await,
        _ if is_asked_for() => measure().await,
        _ => Ok(()),
    }
}

/// Plays a role until the bench that started it is gone: then standard input ends.
async fn while_wanted(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let (mut stdin, mut byte) = (tokio::io::stdin(), [0]);
    tokio::select! {
        ended = role => ended,
        read = stdin.read(&mut byte) => read.map(drop).context("cannot read standard input"),
    }
}

async fn measure() -> anyhow::Result<()> {
    let links = std::env::var("HIVE_BENCH_LINKS").map_or(Ok(LINKS), |text| text.parse())?;
    allow_open_files(links as u64 + OTHER_FILES)?;
    let directory = tempfile::tempdir()?;
    let identities = directory.path().join("identities.jsonl");
    let mut hive = TestHive::start().await;
    register(&hive, links, &identities).await?;
    hive.server().stop().await;
    hive.restart_server().await;

    let address = hive.url().strip_prefix("http://").context("the server listens without TLS")?.to_owned();
    let ours = cost(hive.server().pid().cast_unsigned(), &address, &identities).await?;
    drop(hive);

    let (hub, address) = start_hub().await?;
    let bare = cost(hub.id().context("the hub runs")?, &address, &identities).await?;
    report("pss_per_link", ours.proportional, bare.proportional, "bytes", links);
    report("rss_per_link", ours.resident, bare.resident, "bytes", links);
    report("all_linked", ours.seconds_to_link, bare.seconds_to_link, "s", links);
    Ok(())
}

/// Raises the limit of open files, for this process and what it starts.
fn allow_open_files(wanted: u64) -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(wanted <= hard, "{wanted} open files are needed and only {hard} allowed: set HIVE_BENCH_LINKS");
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard)?)
}

/// Registers as many satellites, each with a token of its own, and writes down their keys.
async fn register(hive: &TestHive, links: usize, identities: &Path) -> anyhow::Result<()> {
    let admin = RemoteHive::connect(hive.url(), hive.api_key().into())?;
    let registered: Vec<Identity> = stream::iter(0..links)
        .map(|number| register_one(&admin, number))
        .buffer_unordered(REGISTERING)
        .try_collect()
        .await?;
    let lines = registered.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(std::fs::write(identities, lines.join("\n"))?)
}

async fn register_one(admin: &RemoteHive, number: usize) -> anyhow::Result<Identity> {
    let token =
        RegistrationTokenCreate { scope: TokenScope::Global, team_id: None, expires_in_hours: None, description: None };
    let token = admin.registration_token_create(token).await?.token;
    let request = RegisterRequest {
        name: format!("simulated-{number:05}"),
        capabilities: vec!["shell".into()],
        tags: Vec::new(),
        satellite_url: None,
        system_info: RegisterSystemInfo::default(),
    };
    let satellite = admin.register(token.into(), request).await?;
    Ok(Identity { id: satellite.id, api_key: satellite.api_key })
}

/// Opens all links to a server, holds them, and divides what it has grown by.
async fn cost(server: u32, address: &str, identities: &Path) -> anyhow::Result<Cost> {
    let before = Memory::of(server)?;
    let mut simulator = start(&["simulate", address, identities.to_str().context("the path is text")?])?;
    let linked: Linked = first_line(&mut simulator).await?;
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

/// Starts this program in another role. It ends with its value.
fn start(role: &[&str]) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(role).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?)
}

async fn first_line<T: DeserializeOwned>(child: &mut Child) -> anyhow::Result<T> {
    let stdout = child.stdout.take().context("stdout was piped")?;
    let line = BufReader::new(stdout).lines().next_line().await?.context("it ended without a word")?;
    Ok(serde_json::from_str(&line)?)
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
    .print();
}
