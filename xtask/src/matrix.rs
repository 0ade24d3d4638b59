//! Each of our crates alone, with no feature and with each of its features: what the whole workspace compiles may lean on
//! features that another crate has asked for.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::{self, cargo, output_of};

/// A crate with some of its features.
#[derive(Debug, PartialEq)]
struct Combination {
    package: String,
    feature: Option<String>,
}

pub(crate) fn run() -> Result<()> {
    let metadata = output_of(&mut cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    for Combination { package, feature } in combinations(&serde_json::from_str(&metadata)?)? {
        let mut clippy = cargo(["clippy", "--quiet", "--no-default-features", "--package", &package]);
        if let Some(feature) = &feature {
            clippy.args(["--features", feature]);
        }
        run::run(clippy.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// What the crates that others may use are made of: ours, but for what only serves the work on them.
fn combinations(metadata: &Value) -> Result<Vec<Combination>> {
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut all = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a package has a name")?;
        let is_for_others = name.starts_with("hive-") && name != "hive-testkit";
        let features = package["features"].as_object().filter(|_| is_for_others);
        let Some(features) = features else { continue };
        let of = |feature: Option<&String>| Combination { package: name.to_owned(), feature: feature.cloned() };
        all.push(of(None));
        all.extend(features.keys().filter(|feature| *feature != "default").map(|feature| of(Some(feature))));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_tried_bare_and_with_each_feature() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "hive-core", "features": { "default": ["sqlite"], "sqlite": [], "client": [] } },
            { "name": "hive-testkit", "features": {} },
            { "name": "xtask", "features": {} },
        ] });
        let tried: Vec<_> = combinations(&metadata).unwrap().into_iter().map(|one| one.feature).collect();
        assert_eq!(tried, [None, Some("client".into()), Some("sqlite".into())]);
    }
}
