//! Thousands of simulated satellites for a bench: how many, their keys, and enough open files for their links.

use anyhow::ensure;
use hive_core::Hive;
use hive_testkit::{SimulatedIdentity, TestHive, enrol};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Open files beside the links: the database, the listener, the standard streams, the callers.
const OTHER_FILES: u64 = 500;

/// How many satellites are wanted: `HIVE_BENCH_LINKS`, or as many as the figure is about.
pub(crate) fn size(usual: usize) -> anyhow::Result<usize> {
    let wanted = std::env::var("HIVE_BENCH_LINKS").map_or(Ok(usual), |text| text.parse())?;
    allow_open_files(wanted as u64 + OTHER_FILES)?;
    Ok(wanted)
}

/// Raises the limit of open files, for this process and what it starts.
fn allow_open_files(wanted: u64) -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(wanted <= hard, "{wanted} open files are needed and only {hard} allowed: set HIVE_BENCH_LINKS");
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard)?)
}

/// Registers as many satellites, by a second process on the same data as the set-up commands of the server do.
pub(crate) async fn register(hive: &TestHive, count: usize) -> anyhow::Result<Vec<SimulatedIdentity>> {
    // Past the server and its limits, which ten thousand registrations would meet.
    let beside = Hive::builder().data_dir(hive.data_dir()).build().await?;
    let identities = enrol(&beside.as_system(), count).await;
    beside.shutdown().await;
    identities
}

/// Where a server listens, as `host:port`.
pub(crate) fn address_of(hive: &TestHive) -> &str {
    hive.url().trim_start_matches("http://")
}
