//! What the small crates depend on, as lists that are committed: a new dependency shows in review, by its name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::run::{cargo, output_of, root};

/// What runs on other people's machines, and what everybody shares.
const SMALL: [&str; 2] = ["hive-agent", "hive-wire"];
/// The lists are those of one system, so that they are the same for everybody who looks.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Set, the lists are written anew.
const REFRESH: &str = "HIVE_REFRESH_TREES";

/// How the trees differ from their lists.
pub(crate) fn faults() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for package in SMALL {
        let names = names(package)?;
        let path = path_of(package);
        if std::env::var_os(REFRESH).is_some() {
            let lines: Vec<&str> = names.iter().map(String::as_str).collect();
            std::fs::write(&path, lines.join("\n") + "\n")
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let list = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        faults.extend(differences(package, &names, &list));
    }
    Ok(faults)
}

fn path_of(package: &str) -> PathBuf {
    root().join("xtask/trees").join(package).with_extension("txt")
}

fn names(package: &str) -> Result<BTreeSet<String>> {
    let mut tree = cargo(["tree", "--edges", "normal", "--all-features", "--prefix", "none", "--format", "{p}"]);
    let tree = output_of(tree.args(["--target", TARGET, "--package", package]))?;
    Ok(tree.lines().filter_map(|line| line.split_whitespace().next()).map(String::from).collect())
}

fn differences(package: &str, names: &BTreeSet<String>, list: &str) -> Vec<String> {
    let listed: BTreeSet<String> = list.lines().map(String::from).collect();
    let new = names.difference(&listed).map(|name| format!("{package} depends on {name}, which is not in its list"));
    let gone = listed.difference(names).map(|name| format!("{package} does not depend on {name} any more"));
    new.chain(gone).map(|fault| format!("{fault}; if that is meant: {REFRESH}=1 cargo xtask tidy")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_went_is_named() {
        let names = ["serde", "tokio"].map(String::from).into();
        let faults = differences("hive-agent", &names, "rand\nserde\n");
        assert!(faults[0].starts_with("hive-agent depends on tokio,"), "{faults:?}");
        assert!(faults[1].starts_with("hive-agent does not depend on rand any more"), "{faults:?}");
        assert_eq!(faults.len(), 2);
    }
}
