//! One name, one meaning: no two types of the workspace have the same name.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::imports::{SOURCES, Sources};
use crate::run::root;

/// Names that mean the same in each crate: what went wrong in it.
const SHARED: [&str; 2] = ["Error", "Result"];

/// The bindings have a type of the same name for each type of the libraries that they pass on.
const BINDINGS: &str = "hive-ffi/src";

pub(crate) fn faults() -> Result<Vec<String>> {
    let mut declared: BTreeMap<String, Vec<Declaration>> = BTreeMap::new();
    for folder in SOURCES {
        for (file, _, line, code) in Sources::read(root(), &root().join(folder))?.lines() {
            if let Some(name) = declared_type(&code) {
                let declaration = Declaration { folder, file, line };
                declared.entry(name.to_owned()).or_default().push(declaration);
            }
        }
    }
    let faults = declared.iter().filter(|(name, _)| !SHARED.contains(&name.as_str()));
    Ok(faults.filter_map(|(name, declarations)| fault(name, declarations)).collect())
}

#[derive(Debug, Clone)]
struct Declaration {
    folder: &'static str,
    file: String,
    line: usize,
}

/// The fault of one name, if it has two meanings.
fn fault(name: &str, declarations: &[Declaration]) -> Option<String> {
    let mut files: Vec<_> = declarations.iter().filter(|of| of.folder != BINDINGS).collect();
    // A file may declare a type once for each platform.
    files.dedup_by_key(|of| (of.folder, of.file.clone()));
    let in_bindings = declarations.iter().filter(|of| of.folder == BINDINGS).count();
    if files.len() <= 1 && in_bindings <= 1 {
        return None;
    }
    let places: Vec<_> = declarations.iter().map(|of| format!("{}/{}:{}", of.folder, of.file, of.line)).collect();
    Some(format!("the type name {name} has several meanings: {}", places.join(", ")))
}

/// The name of the type that a line declares.
fn declared_type(code: &str) -> Option<&str> {
    let code = match code.strip_prefix("pub") {
        Some(rest) => {
            rest.split_once(") ").filter(|_| rest.starts_with('(')).map_or(rest, |(_, rest)| rest).trim_start()
        }
        None => code,
    };
    let (keyword, rest) = code.split_once(' ')?;
    // An alias is left out: within an `impl` it is an associated type, which many have.
    if !["struct", "enum", "union", "trait"].contains(&keyword) {
        return None;
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found() {
        for (code, name) in [
            ("struct Link;", Some("Link")),
            ("pub struct Page<T> {", Some("Page")),
            ("pub(crate) enum Lane {", Some("Lane")),
            ("pub(in crate::sql) trait Row: Send {", Some("Row")),
            ("type Err = ();", None),
            ("let structure = 1;", None),
            ("publish(structure);", None),
        ] {
            assert_eq!(declared_type(code), name, "{code}");
        }
    }

    fn at(places: &[(&'static str, &str)]) -> Vec<Declaration> {
        places.iter().map(|(folder, file)| Declaration { folder, file: (*file).to_owned(), line: 1 }).collect()
    }

    #[test]
    fn two_meanings_are_a_fault() {
        assert!(fault("Link", &at(&[("hive-core/src", "a.rs"), ("hive-agent/src", "a.rs")])).is_some());
        assert!(fault("Link", &at(&[("hive-core/src", "a.rs"), ("hive-core/src", "b.rs")])).is_some());
        assert!(fault("Link", &at(&[(BINDINGS, "a.rs"), (BINDINGS, "b.rs")])).is_some());
    }

    #[test]
    fn platforms_and_bindings_share_a_name() {
        assert_eq!(fault("Link", &at(&[("hive-agent/src", "a.rs"), ("hive-agent/src", "a.rs")])), None);
        assert_eq!(fault("Satellite", &at(&[("hive-core/wire/src", "a.rs"), (BINDINGS, "a.rs")])), None);
    }
}
