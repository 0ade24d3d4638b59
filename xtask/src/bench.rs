//! `cargo xtask bench`: the figures, from binaries as they are shipped.

use anyhow::Result;

use crate::postgres::Postgres;
use crate::run::{self, built, cargo};
use crate::table::Table;

/// What is measured on PostgreSQL too, and how it is told where there is one.
const ON_POSTGRES: [&str; 2] = ["durable_commands", "store"];
const POSTGRES: &str = "HIVE_BENCH_POSTGRES";

pub(crate) fn run(names: &[String]) -> Result<()> {
    run::run(&mut cargo(["build", "--profile", "dist", "--workspace", "--bins"]))?;
    let mut bench = cargo(["bench", "--package", "satellite-hive", "--no-fail-fast"]);
    bench.args(names.iter().flat_map(|name| ["--bench", name])).env("HIVE_BIN_DIR", built("dist"));
    let postgres = is_postgres_wanted(names).then(Postgres::start_durable).transpose()?;
    if let Some(postgres) = &postgres {
        bench.env(POSTGRES, postgres.url());
    }
    let mut table = Table::default();
    let ended = run::each_line(&mut bench, |line| {
        // What else a bench says is not for whoever keeps the figures.
        if table.take(line) { println!("{line}") } else { eprintln!("{line}") }
    });
    // Also of those that were measured before another one failed.
    print!("\n{table}");
    ended
}

fn is_postgres_wanted(names: &[String]) -> bool {
    let is_measured = names.is_empty() || names.iter().any(|name| ON_POSTGRES.contains(&name.as_str()));
    is_measured && std::env::var_os(POSTGRES).is_none()
}
