//! Small things measured by criterion, as figures: its samples are read back from where it keeps them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use criterion::Criterion;
use serde::Deserialize;

use super::figure::{Figure, Peer};
use super::samples::percentile;

const SAMPLES: usize = 30;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(3);

/// What one iteration of a benchmark took, in nanoseconds, sample by sample.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// Criterion as all of ours use it. What it prints besides goes where it goes; the figures are ours.
pub(crate) fn criterion() -> Criterion {
    let criterion = Criterion::default().without_plots().output_directory(&directory());
    criterion.sample_size(SAMPLES).warm_up_time(WARM_UP).measurement_time(MEASURED)
}

/// A unit of time, by its length in nanoseconds.
pub(crate) type Unit = (&'static str, f64);

/// Prints the median of what was measured as `bench/name`, beside that of `bench/peer` where there is one.
pub(crate) fn report(
    bench: &'static str,
    name: &'static str,
    peer: Option<&str>,
    (unit, length): Unit,
    command: &str,
) -> anyhow::Result<()> {
    let of = |name: &str| anyhow::Ok(read(bench, name)?.iter().map(|nanoseconds| nanoseconds / length).collect());
    let samples: Vec<f64> = of(name)?;
    let peer = match peer {
        Some(peer) => {
            let theirs: Vec<f64> = of(peer)?;
            Some(Peer { name: peer.into(), value: percentile(&theirs, 50) })
        }
        None => None,
    };
    let value = percentile(&samples, 50);
    Figure { bench, name, value, unit, peer, command: command.into() }.print(&samples);
    Ok(())
}

fn read(bench: &str, name: &str) -> anyhow::Result<Vec<f64>> {
    // Criterion keeps the samples of the last run under `new`.
    let path = directory().join(bench).join(name).join("new/sample.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Sample { iters, times } = serde_json::from_str(&text)?;
    // A sample of criterion is the time of many iterations.
    Ok(times.into_iter().zip(iters).map(|(time, iterations)| time / iterations).collect())
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion")
}
