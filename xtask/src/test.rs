//! `cargo xtask test`: builds the binaries, then runs everything that proves something with them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::machine;
use crate::run::{self, built, cargo, program, root, works};

/// The profile of everything that runs in tests, so that nothing is compiled twice.
const PROFILE: &str = "debug";

pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    machine::ensure(&[machine::PYTHON])?;
    // With all targets in one go the features are those of the test run, and it finds everything built.
    run::run(&mut cargo(["build", "--workspace", "--all-targets"]))?;
    if filter.is_none() {
        run::run(&mut with_binaries(cargo(["test", "--workspace", "--doc"])))?;
        examples()?;
        python_binding()?;
    }
    // Last, because its last line is the summary.
    tests(filter)
}

fn tests(filter: Option<&str>) -> Result<()> {
    let mut tests = if works("cargo-nextest", ["--version"]) {
        cargo(["nextest", "run", "--workspace", "--all-targets", "--no-fail-fast"])
    } else {
        cargo(["test", "--workspace", "--all-targets", "--no-fail-fast"])
    };
    tests.args(filter);
    run::run(&mut with_binaries(tests))
}

/// Member binaries get no `CARGO_BIN_EXE_*` in the root package: the testkit finds them here.
fn with_binaries(mut command: Command) -> Command {
    command.env("HIVE_BIN_DIR", built(PROFILE));
    command
}

/// Runs each example as it is; those that need an argument would be none of ours.
fn examples() -> Result<()> {
    for name in sources_in(&root().join("examples"))? {
        run::run(&mut with_binaries(cargo(["run", "--quiet", "--example", &name])))?;
    }
    Ok(())
}

/// The Rust files of a folder, by name, without their ending.
fn sources_in(dir: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = files_in(dir)?
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|path| path.file_stem()?.to_str().map(String::from))
        .collect();
    names.sort();
    Ok(names)
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Calls the hive from Python, through the library that was just built.
fn python_binding() -> Result<()> {
    run::run(
        with_binaries(program("python3"))
            .args(["-m", "unittest", "discover", "--verbose", "--start-directory"])
            .arg("hive-ffi/python"),
    )
}
