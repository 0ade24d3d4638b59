//! `cargo xtask bench`: the figures, from binaries as they are shipped.

use anyhow::Result;

use crate::run::{self, built, cargo};

pub(crate) fn run(name: Option<&str>) -> Result<()> {
    run::run(&mut cargo(["build", "--profile", "dist", "--workspace", "--bins"]))?;
    let mut bench = cargo(["bench", "--package", "satellite-hive"]);
    if let Some(name) = name {
        bench.args(["--bench", name]);
    }
    run::run(bench.env("HIVE_BIN_DIR", built("dist")))
}
