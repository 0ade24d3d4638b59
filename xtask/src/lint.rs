//! `cargo xtask lint`: everything that can be held without running the product.

use anyhow::Result;

use crate::package::Check;
use crate::run::{self, WORKSPACE, built, cargo, root, works};
use crate::steps::StepTimes;
use crate::tiers::Tier;
use crate::{matrix, package, tidy};

/// Comments that become help texts are read in terminals, where a URL stands bare.
const DOC_RULES: &str = "-D warnings -A rustdoc::bare_urls";

pub(crate) fn run(tier: Tier, steps: &mut StepTimes) -> Result<()> {
    steps.step("tidy", tidy::run)?;
    steps.step("fmt", || run::run(&mut cargo(["fmt", "--all", "--check"])))?;
    steps.step("clippy", clippy)?;
    steps.step("doc", doc)?;
    steps.step("packages", || package::run(Check::Contents))?;
    steps.step("deny", deny)?;
    if tier == Tier::Usual {
        return Ok(());
    }
    // Each of these compiles all dependencies once more: for other features, or for a workspace of its own.
    steps.step("fuzz targets", fuzz_targets)?;
    steps.step("each feature alone", matrix::run)
}

fn clippy() -> Result<()> {
    run::run(cargo(["clippy", "--all-targets"]).args(WORKSPACE).args(["--", "-D", "warnings"]))
}

/// With the examples, which need what the tests need: the same dependencies as above, and not once more with fewer features.
fn doc() -> Result<()> {
    let documented = ["--lib", "--bins", "--examples"];
    run::run(cargo(["doc", "--no-deps"]).args(documented).args(WORKSPACE).env("RUSTDOCFLAGS", DOC_RULES))
}

/// The fuzz targets lie outside of the workspace: nothing else would notice that they do not compile any more.
fn fuzz_targets() -> Result<()> {
    let mut check = cargo(["check", "--quiet", "--manifest-path", "hive-core/wire/fuzz/Cargo.toml", "--target-dir"]);
    run::run(check.arg(built("fuzz")))
}

/// Licences, sources and duplicates, where cargo-deny is installed and told what to allow.
fn deny() -> Result<()> {
    let is_possible = root().join("deny.toml").exists() && works("cargo-deny", ["--version"]);
    if !is_possible {
        return Ok(());
    }
    run::run(&mut cargo(["deny", "--workspace", "check", "bans", "licenses", "sources"]))
}
