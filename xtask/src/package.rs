//! `cargo xtask package`: the crates as somebody else would get them.

use anyhow::Result;

use crate::run::{self, cargo};

/// What is meant for crates.io, each behind what it depends on.
const PUBLISHED: [&str; 7] =
    ["hive-wire", "hive-store", "hive-store-conformance", "hive-core", "hive-agent", "hive-server", "hive-cli"];

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// That each can be packed: its metadata, the versions of what it depends on, its files.
    Contents,
    /// And that it builds from what is in the package alone.
    Build,
}

pub(crate) fn run(check: Check) -> Result<()> {
    // Work under way may be packed too: nothing is uploaded here.
    let mut package = cargo(["package", "--quiet", "--allow-dirty"]);
    package.args(PUBLISHED.iter().flat_map(|name| ["--package", name]));
    if check == Check::Contents {
        package.arg("--no-verify");
    }
    run::run(&mut package)
}
