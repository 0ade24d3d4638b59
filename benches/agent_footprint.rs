//! What a satellite costs its machine: the binary as it is shipped, its memory when idle, the time until it is online,
//! and the sync of its journal before each command.

mod support {
    pub(crate) mod figure;
    pub(crate) mod memory;
    pub(crate) mod samples;
}

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use hive_testkit::{TestHive, until};
use serde_json::json;
use support::figure::{Figure, is_asked_for};
use support::memory::Memory;
use support::samples::percentile;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const NAME: &str = "footprint-satellite";
const STARTS: usize = 10;
const COMMANDS: usize = 300;
/// When memory is looked at: the start is over, and the first heartbeat is not due.
const SETTLED: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let binary = build()?;
    report(
        "binary_size",
        &[std::fs::metadata(&binary)?.len() as f64],
        "bytes",
        "cargo build --profile dist -p hive-agent",
    );
    let hive = TestHive::start().await;
    let mut registered = hive.satellite(NAME).await;
    // Registered once: each start below uses the stored key, as every start but the first does.
    registered.process().stop().await;
    let data_dir = registered.data_dir();

    let mut milliseconds = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let agent = start(&binary, hive.url(), data_dir).await?;
        milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        stop(agent).await?;
    }
    report("start_p50", &milliseconds, "ms", "spawn to the `online` line with a stored key, 10 starts");

    let agent = start(&binary, hive.url(), data_dir).await?;
    sleep(SETTLED).await;
    let pid = agent.id().context("the agent runs")?;
    let memory = Memory::of(pid)?;
    let syncs = journal_syncs(&hive, &registered.path("/exec"), pid).await?;
    stop(agent).await?;
    report("journal_sync_p50", &syncs, "us", "strace -T of fdatasync, 300 commands in turn");
    report("idle_pss", &[memory.proportional as f64], "bytes", "smaps_rollup, 5 s after the `online` line");
    report("idle_rss", &[memory.resident as f64], "bytes", "smaps_rollup, 5 s after the `online` line");
    Ok(())
}

/// Builds the agent in the profile it is shipped in.
fn build() -> anyhow::Result<PathBuf> {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    let status = cargo.args(["build", "--quiet", "--profile", "dist", "-p", "hive-agent"]).status()?;
    ensure!(status.success(), "the agent does not build");
    // `target/tmp` is where Cargo keeps what benches write; the profiles lie beside it.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("it lies in the target directory")?;
    Ok(target.join("dist/satellite-agent"))
}

/// Starts the agent and waits until it is online.
async fn start(binary: &Path, url: &str, data_dir: &Path) -> anyhow::Result<Child> {
    let mut agent = Command::new(binary)
        .env_clear()
        .args(["--server", url, "--name", NAME, "--data-dir"])
        .arg(data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(agent.stdout.take().context("stdout was piped")?).lines();
    while let Some(line) = lines.next_line().await? {
        if line.contains(r#""event":"online""#) {
            return Ok(agent);
        }
    }
    anyhow::bail!("the agent ended before it was online")
}

/// How long each sync of the journal takes, in microseconds, while commands run in turn. Needs root and strace.
async fn journal_syncs(hive: &TestHive, path: &str, pid: u32) -> anyhow::Result<Vec<f64>> {
    let log = hive.dir().join("syncs");
    let mut strace = Command::new("strace");
    strace.args(["--quiet=all", "--syscall-times", "--trace=fdatasync"]);
    // This thread alone: the system calls of the others, which go on meanwhile, would delay strace.
    let thread = journal_thread(pid)?;
    strace.arg("--output").arg(&log).args(["--attach", &thread]).kill_on_drop(true);
    let mut tracer = strace.stdin(Stdio::null()).spawn()?;
    let status = format!("/proc/{thread}/status");
    let is_traced = || std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("TracerPid:\t0\n"));
    until("strace holds the thread", async || is_traced()).await;
    for _ in 0..COMMANDS {
        let answer = hive.rest().post(path, &json!({"command": "true"})).await;
        ensure!(answer.is_success(), "{}", answer.text());
    }
    tracer.kill().await?;
    // A line ends with the time in brackets: `<0.000083>`.
    let seconds = |line: &str| line.rsplit_once('<')?.1.strip_suffix('>')?.parse::<f64>().ok();
    let syncs: Vec<_> = std::fs::read_to_string(log)?.lines().filter_map(seconds).map(|took| took * 1e6).collect();
    ensure!(syncs.len() >= COMMANDS, "{} syncs of {COMMANDS} commands", syncs.len());
    Ok(syncs)
}

/// The id of the thread that writes the journal.
fn journal_thread(pid: u32) -> anyhow::Result<String> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?;
        if std::fs::read_to_string(thread.path().join("comm"))?.trim() == "journal" {
            return Ok(thread.file_name().to_string_lossy().into_owned());
        }
    }
    anyhow::bail!("the agent has no thread that writes its journal")
}

async fn stop(mut agent: Child) -> anyhow::Result<()> {
    agent.kill().await?;
    Ok(())
}

/// The median of what was measured.
fn report(name: &'static str, samples: &[f64], unit: &'static str, command: &str) {
    let value = percentile(samples, 50);
    Figure { bench: "agent_footprint", name, value, unit, peer: None, command: command.into() }.print(samples);
}
