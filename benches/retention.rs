//! How the API feels while a night of housekeeping deletes a year of old rows, and while nothing is deleted.
//! `HIVE_BENCH_ROWS` says how many rows of each kind there are.

mod support {
    pub(crate) mod figure;
    pub(crate) mod http;
    pub(crate) mod prober;
    pub(crate) mod samples;
}

use std::time::Duration;

use anyhow::{Context, ensure};
use hive_testkit::TestHive;
use serde_json::Value;
use support::figure::{Figure, Peer, is_asked_for};
use support::prober::Prober;
use support::samples::percentile;
use tokio::time::{Instant, sleep};

const ROWS: u32 = 100_000;
/// How long calm is looked at.
const HOLD: Duration = Duration::from_secs(20);
/// How long the night may take.
const PATIENCE: Duration = Duration::from_mins(15);
const TABLES: [&str; 6] = ["audit_log", "satellite_commands", "command_output", "jobs", "sessions", "satellites"];
/// Nothing is old.
const CALM: [&str; 8] = [
    "--retain-audit-days",
    "0",
    "--retain-output-days",
    "0",
    "--retain-commands-days",
    "0",
    "--retain-removed-days",
    "0",
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let rows = std::env::var("HIVE_BENCH_ROWS").map_or(Ok(ROWS), |rows| rows.parse())?;
    let mut hive = TestHive::start_on_sqlite().await;
    let year = hive.fill_with_a_year(rows).await;
    let satellite = year["satellite"].as_str().context("a satellite")?.to_owned();
    let file = hive.data_dir().join("hive.db");
    let size = || std::fs::metadata(&file).map(|file| file.len() as f64 / 1e6);
    let before = size()?;

    hive.restart_server_with(&CALM).await;
    let prober = Prober::start(&hive, &satellite);
    sleep(HOLD).await;
    let calm = prober.finish()?;
    ensure!(hive.count_rows(&TABLES).await["sessions"] == year["rows"]["sessions"], "something was deleted");

    hive.server().stop().await;
    // The defaults, with a second look soon: a task may end before the one that it waits for.
    hive.restart_server_with(&["--prune-interval", "5"]).await;
    let began = Instant::now();
    let prober = Prober::start(&hive, &satellite);
    while !is_over(&year["rows"], &hive.count_rows(&TABLES).await) {
        ensure!(began.elapsed() < PATIENCE, "the night has no end: {}", hive.count_rows(&TABLES).await);
        sleep(Duration::from_millis(500)).await;
    }
    let took = began.elapsed();
    let night = prober.finish()?;
    let verification = hive.rest().get("/api/v1/audit/verify").await.data();
    ensure!(verification["valid"] == true, "{verification}");
    hive.server().stop().await;
    let after = size()?;

    let command = format!("{} calls of one client, {rows} rows of each kind, 363 days old and less", night.len());
    let print = |name, value, unit, peer, samples: &[f64]| {
        Figure { bench: "retention", name, value, unit, peer, command: command.clone() }.print(samples);
    };
    for (name, percent) in [("api_p50", 50), ("api_p95", 95), ("api_p99", 99), ("api_max", 100)] {
        let peer = Peer { name: "the same while nothing is deleted".into(), value: percentile(&calm, percent) };
        print(name, percentile(&night, percent), "ms", Some(peer), &night);
    }
    print("night", took.as_secs_f64(), "s", None, &[took.as_secs_f64()]);
    let peer = Peer { name: "the file before".into(), value: before };
    print("file", after, "MB", Some(peer), &[after]);
    Ok(())
}

/// Whether about what should stay has stayed: a quarter, and a fiftieth of the output and the removed satellites.
fn is_over(before: &Value, now: &Value) -> bool {
    let is_at_most = |table: &str, percent: u64| {
        now[table]
            .as_u64()
            .zip(before[table].as_u64())
            .is_some_and(|(now, before)| now * 100 <= before * percent + 5_000)
    };
    // The client adds commands, and records of them.
    let quarter = ["jobs", "sessions"].iter().all(|table| is_at_most(table, 25));
    quarter
        && is_at_most("command_output", 2)
        && is_at_most("satellites", 2)
        && is_at_most("satellite_commands", 40)
        && is_at_most("audit_log", 40)
}
