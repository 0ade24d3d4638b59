//! Breaks everything at random while commands are given: no acknowledged command is lost, none runs twice, and a
//! doubtful outcome is reported as such.
//!
//! [`plan`] says what is done to a [`world`] in an epoch of thirty rounds, [`callers`] give commands meanwhile, and the
//! [`ledger`] judges what came of each when everything is in order again. `cargo xtask test` breaks [`SHORT`] rounds, so that
//! the test itself stays in order; [`long`] and `cargo xtask chaos` look for longer. `HIVE_CHAOS_SEED` and `HIVE_CHAOS_ROUNDS`
//! repeat a failure.

mod callers;
mod ledger;
mod plan;
mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use self::world::{ChaosWorld, Tally};
use crate::support::number;

/// The rounds of an epoch; after each everything is put right and looked at.
const EPOCH: usize = 30;
/// The rounds of the short run.
const SHORT: u64 = 10;
/// The rounds of the long run unless `HIVE_CHAOS_ROUNDS` says how many.
const LONG: u64 = 300;
/// How many satellites a hive has.
const SATELLITES: usize = 4;
/// How many hives are broken at the same time in a long run.
const WORLDS: u64 = 3;

/// How often each number stands in a file.
fn counts(file: &Path) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        *counts.entry(line.parse().expect("whole lines are appended")).or_default() += 1;
    }
    counts
}

/// Puts everything a hive has left where it stays, for whoever looks for the cause.
fn saved(dir: &Path, seed: u64) -> String {
    let to = std::env::temp_dir().join(format!("hive-chaos-{seed}"));
    let copied = Command::new("cp").arg("-r").arg(dir).arg(&to).status();
    copied.map_or_else(|error| error.to_string(), |_| to.display().to_string())
}

/// The seed of an epoch: the first has that of the run, so that a failed one can be repeated alone.
fn seed_of(run: u64, epoch: u64) -> u64 {
    // The golden ratio as a step: the seeds of near epochs have nothing in common.
    run.wrapping_add(epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Breaks one hive, epoch after epoch, until all have been taken.
async fn break_one(run: u64, rounds: u64, next: &AtomicU64) {
    let mut world = ChaosWorld::new(SATELLITES).await;
    let epochs = rounds.div_ceil(EPOCH as u64);
    loop {
        let epoch = next.fetch_add(1, Ordering::SeqCst);
        if epoch >= epochs {
            break;
        }
        let seed = seed_of(run, epoch);
        let left = (rounds - epoch * EPOCH as u64).min(EPOCH as u64) as usize;
        let begin = tokio::time::Instant::now();
        match world.epoch(seed, &plan::plan(seed, left, SATELLITES)).await {
            Ok(tally) => tell(epoch, epochs, seed, tally, begin.elapsed().as_secs_f64()),
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
    world.end().await;
}

fn tell(epoch: u64, epochs: u64, seed: u64, tally: Tally, seconds: f64) {
    let Tally { acknowledged, unknown, untold } = tally;
    let mut out = std::io::stdout().lock();
    let line = format!(
        "epoch {} of {epochs} (seed {seed}, {seconds:.1} s): {acknowledged} acknowledged, {unknown} of them doubtful, {untold} not",
        epoch + 1
    );
    writeln!(out, "{line}").ok();
    // What is never acknowledged, or always doubtful, proves nothing.
    assert!(acknowledged > 2 * unknown && acknowledged > untold, "{line}");
}

/// Breaks this many rounds, several hives at the same time where they are many.
async fn break_all(rounds: u64) {
    let seed = number("HIVE_CHAOS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let next = AtomicU64::new(0);
    let worlds = if rounds > EPOCH as u64 { WORLDS } else { 1 };
    futures_util::future::join_all((0..worlds).map(|_| break_one(seed, rounds, &next))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_run_twice_whatever_breaks() {
    break_all(SHORT).await;
}

mod long {
    use super::{LONG, break_all, number};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_lost_or_run_twice_however_long_it_breaks() {
        break_all(number("HIVE_CHAOS_ROUNDS").unwrap_or(LONG)).await;
    }
}
