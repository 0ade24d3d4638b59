//! Our crates with features, each alone, with none of them and with each one: what the whole workspace compiles has all
//! that any other crate has asked for. What a crate has unless told otherwise, or wherever all of ours are compiled, is not
//! compiled here again.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::{self, WORKSPACE, cargo, output_of};

/// What the compiler warns of. What else clippy minds is looked at once, with everything compiled: a function that does not wait
/// without a database may well do so with one.
const COMPILERS_WARNINGS: [&str; 6] = ["-A", "clippy::all", "-A", "clippy::pedantic", "-D", "warnings"];

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
        run::run(clippy.arg("--").args(COMPILERS_WARNINGS))?;
    }
    Ok(())
}

fn combinations(metadata: &Value) -> Result<Vec<Combination>> {
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut all = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a package has a name")?;
        let features = package["features"].as_object().filter(|features| !features.is_empty());
        let Some(features) = features else { continue };
        let usual = features.get("default").and_then(Value::as_array).into_iter().flatten();
        let usual: Vec<&str> = usual.filter_map(Value::as_str).collect();
        let is_everywhere = |feature: &str| WORKSPACE.contains(&format!("{name}/{feature}").as_str());
        let each = features.keys().filter(|feature| *feature != "default" && !is_everywhere(feature)).map(Some);
        let unusual =
            std::iter::once(None).chain(each).filter(|feature| usual != feature.map(String::as_str).as_slice());
        all.extend(unusual.map(|feature| Combination { package: name.to_owned(), feature: feature.cloned() }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_tried_with_what_it_does_not_have_anyway() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "hive-core", "features": { "default": ["sqlite"], "sqlite": [], "client": [] } },
            { "name": "hive-ffi", "features": { "bindgen": [], "embedded": [] } },
            { "name": "hive-wire", "features": {} },
        ] });
        let tried = combinations(&metadata).unwrap().into_iter().map(|one| (one.package, one.feature));
        let expected = [("hive-core", None), ("hive-core", Some("client")), ("hive-ffi", Some("embedded"))];
        assert!(tried.eq(expected.map(|(package, feature)| (package.to_owned(), feature.map(String::from)))));
    }
}
