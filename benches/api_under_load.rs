//! How the API feels under load: 300 calls a second in an open loop (a list, a read, an execution, the audit log, by turns), while
//! 1,000 satellites are online and send heartbeats, and 50 terminals are typed into. And what of the processors the server uses
//! for all of it.
//!
//! `HIVE_BENCH_LINKS` says how many satellites there are.

mod support {
    pub(crate) mod cpu;
    pub(crate) mod figure;
    pub(crate) mod fleet;
    pub(crate) mod http;
    pub(crate) mod open_loop;
    pub(crate) mod samples;
    pub(crate) mod screen;
    #[expect(dead_code, reason = "the sshd of another bench's peer")]
    pub(crate) mod sshd;
    #[expect(dead_code, reason = "only its script is of use here")]
    pub(crate) mod typist;
}

use std::time::Duration;

use anyhow::ensure;
use hive_testkit::{ServerOptions, SimulatedIdentity, Simulator, TestHive};
use support::cpu::CpuTime;
use support::figure::{Figure, is_asked_for};
use support::fleet;
use support::open_loop::{self, CallTime, ScheduledCall};
use support::samples::percentile;
use support::screen::Screen;
use support::typist::script;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

const LINKS: usize = 1_000;
const TERMINALS: usize = 50;
/// Calls a second.
const RATE: u32 = 300;
/// How long the links may take to open.
const PATIENCE: Duration = Duration::from_mins(3);
/// Each satellite is asked for its heartbeat at least twice.
const HOLD: Duration = Duration::from_secs(65);
/// How long caches and pools fill before something is measured.
const WARM_UP: Duration = Duration::from_secs(5);
/// The pause between two keys of a terminal.
const KEY: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let links = fleet::size(LINKS)?;
    // The default allows fewer terminals on one satellite.
    let args = ["--max-sessions-per-agent", "60"].map(String::from).to_vec();
    let mut hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let identities = fleet::register(&hive, links).await?;
    let calls = calls(&identities);
    let simulator = Simulator::start(fleet::address_of(&hive), identities);
    let before = simulator.until("all links are up", PATIENCE, |tally| tally.online == links).await;
    let typing = type_into_terminals(&hive).await?;

    let caller = || (hive.url().to_owned(), hive.api_key().to_owned());
    open_loop::run(caller(), calls.clone(), RATE, WARM_UP).await?;
    let caller = caller();
    let used = CpuTime::of(hive.server().pid().cast_unsigned())?;
    let timed = open_loop::run(caller, calls, RATE, HOLD).await?;
    let cores = used.cores()?;

    let after = simulator.tally();
    // As many handshakes as before: no link was lost and opened again meanwhile.
    ensure!(after.online == links && after.linked == before.linked, "a link did not last: {after:?}");
    ensure!(!typing.is_empty(), "the terminals ended");
    report(&timed, cores, links);
    Ok(())
}

/// The calls, by turns. Each execution is on another satellite.
fn calls(satellites: &[SimulatedIdentity]) -> Vec<ScheduledCall> {
    let of = |satellite: &SimulatedIdentity| -> [ScheduledCall; 4] {
        let path = format!("/api/v1/satellites/{}", satellite.id);
        let exec = (format!("{path}/exec"), r#"{"command":"true"}"#.to_owned());
        [
            ("list", "GET", "/api/v1/satellites?per_page=50".to_owned(), String::new()),
            ("get", "GET", path, String::new()),
            ("exec", "POST", exec.0, exec.1),
            ("audit", "GET", "/api/v1/audit/logs?per_page=50".to_owned(), String::new()),
        ]
    };
    satellites.iter().flat_map(of).collect()
}

/// Opens the terminals on one satellite, and types into each of them until the tasks are dropped.
async fn type_into_terminals(hive: &TestHive) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let satellite = hive.satellite("typed-into-satellite").await;
    let program = script(hive, "mirror.sh", "exec cat")?;
    let mut screens = Vec::new();
    for _ in 0..TERMINALS {
        screens.push(Screen::open(hive, &satellite, &program).await?);
    }
    let mut tasks = JoinSet::new();
    for (index, mut screen) in screens.into_iter().enumerate() {
        tasks.spawn(async move {
            // Not all of them at the same moment.
            sleep(KEY * index as u32 / TERMINALS as u32).await;
            let mut keys = interval(KEY);
            loop {
                keys.tick().await;
                screen.press(1).await?;
            }
        });
    }
    tasks.spawn(async move {
        // The satellite ends with its value.
        let _satellite = satellite;
        std::future::pending().await
    });
    Ok(tasks)
}

fn report(timed: &[CallTime], cores: f64, links: usize) {
    let of = |name: &str| timed.iter().filter(|(of, _)| *of == name).map(|(_, milliseconds)| *milliseconds).collect();
    let all: Vec<f64> = timed.iter().map(|(_, milliseconds)| *milliseconds).collect();
    let load = format!("{RATE} calls a second in an open loop, {links} links, {TERMINALS} terminals");
    let print = |name, percent, samples: &[f64]| {
        let (value, command) = (percentile(samples, percent), load.clone());
        Figure { bench: "api_under_load", name, value, unit: "ms", peer: None, command }.print(samples);
    };
    for (name, percent) in [("api_p50", 50), ("api_p95", 95), ("api_p99", 99)] {
        print(name, percent, &all);
    }
    for (name, call) in [("list_p95", "list"), ("get_p95", "get"), ("exec_p95", "exec"), ("audit_p95", "audit")] {
        let samples: Vec<f64> = of(call);
        print(name, 95, &samples);
    }
    let command = format!("processor time of the server: {load}");
    Figure { bench: "api_under_load", name: "server_cores", value: cores, unit: "cores", peer: None, command }
        .print(&[cores]);
}
