//! What a terminal costs its satellite and its server: idle, and with its scrollback full.

mod support {
    pub(crate) mod figure;
    pub(crate) mod memory;
    pub(crate) mod samples;
}

use std::sync::Arc;
use std::time::Duration;

use hive_core::wire::SessionId;
use hive_core::wire::api::SessionCreate;
use hive_core::{RemoteHive, SessionManager};
use hive_testkit::{ServerOptions, TestHive, TestSatellite};
use support::figure::{Figure, is_asked_for};
use support::memory::Memory;
use tokio::time::sleep;

const SESSIONS: usize = 50;
/// More than is kept of each.
const OUTPUT: usize = 2 * 1024 * 1024;
/// How long memory settles before it is looked at.
const SETTLED: Duration = Duration::from_secs(3);

/// Memory of both sides.
#[derive(Clone, Copy)]
struct Held {
    agent: Memory,
    server: Memory,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    // The default allows fewer than are measured.
    let args = ["--max-sessions-per-agent", "60"].map(String::from).to_vec();
    let mut hive = TestHive::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let mut satellite = hive.satellite("remembering-satellite").await;
    let remote: Arc<dyn SessionManager> = RemoteHive::connect(hive.url(), hive.api_key().into())?.sessions();
    // The first one pays for what all of them share.
    open(remote.as_ref(), &satellite).await?;
    let before = held(&mut hive, &mut satellite).await?;

    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(open(remote.as_ref(), &satellite).await?);
    }
    let idle = held(&mut hive, &mut satellite).await?;
    report(["agent_idle_rss", "agent_idle_pss"], before.agent, idle.agent, "opened");
    report(["server_idle_rss", "server_idle_pss"], before.server, idle.server, "opened");

    let line = format!("head -c {OUTPUT} /dev/zero | tr '\\0' x\n");
    for id in sessions {
        remote.send_input(id, line.clone().into()).await?;
    }
    let full = held(&mut hive, &mut satellite).await?;
    report(["agent_full_rss", "agent_full_pss"], before.agent, full.agent, "opened and flooded");
    report(["server_full_rss", "server_full_pss"], before.server, full.server, "opened and flooded");
    Ok(())
}

async fn open(hive: &dyn SessionManager, satellite: &TestSatellite) -> anyhow::Result<SessionId> {
    let wanted = SessionCreate::on(satellite.id().parse()?);
    Ok(hive.create(SessionCreate { shell: Some("/bin/sh".into()), ..wanted }).await?.id)
}

async fn held(hive: &mut TestHive, satellite: &mut TestSatellite) -> anyhow::Result<Held> {
    sleep(SETTLED).await;
    let of = |pid: i32| Memory::of(pid.cast_unsigned());
    Ok(Held { agent: of(satellite.process().pid())?, server: of(hive.server().pid())? })
}

fn report(names: [&'static str; 2], before: Memory, after: Memory, done: &str) {
    let grown = [(before.resident, after.resident), (before.proportional, after.proportional)];
    for (name, (before, after)) in names.into_iter().zip(grown) {
        let value = (after as f64 - before as f64) / SESSIONS as f64;
        let command = format!("growth by a terminal, smaps_rollup, {SESSIONS} of them {done}, nobody looks");
        Figure { bench: "terminal_memory", name, value, unit: "bytes", peer: None, command }.print(&[value]);
    }
}
