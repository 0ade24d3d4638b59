//! The rules of the house that no other tool looks at. Each fault is named with its file and line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, output_of, root};
use crate::{find_it, layers, trees, type_names};

/// A file this long is a question.
const LONG_FILE: usize = 500;
/// A file this long is two ideas.
const TOO_LONG_FILE: usize = 600;

/// Folders with sources of ours.
const SOURCES: [&str; 9] =
    ["benches", "examples", "hive-agent", "hive-cli", "hive-core", "hive-ffi", "hive-server", "tests", "xtask"];

/// Sources that read no environment: they belong into any program.
const CORE_SOURCES: [&str; 4] =
    ["hive-core/src/", "hive-core/store/conformance/src/", "hive-core/store/src/", "hive-core/wire/src/"];

/// The only file of hive-core that makes drafts of audit records.
const DRAFTS: &str = "hive-core/src/audit/draft.rs";

/// The only folder of hive-server that adds routes to a router.
const ROUTES: &str = "hive-server/src/routes";

/// Which crates may not stand in the tree of which of ours, whatever its features.
const FORBIDDEN_CRATES: [(&str, &[&str]); 7] = [
    (
        "hive-agent",
        &["hive-core", "hive-store", "hive-server", "axum", "sqlx", "sqlx-core", "rusqlite", "libsqlite3-sys"],
    ),
    ("hive-cli", &["hive-store-conformance"]),
    ("hive-core", &["axum", "hive-agent", "hive-cli", "hive-server", "hive-store-conformance", "portable-pty"]),
    ("hive-ffi", &["hive-store-conformance"]),
    ("hive-server", &["hive-agent", "hive-cli", "hive-store-conformance"]),
    ("hive-store", &["axum", "hive-agent", "hive-cli", "hive-core", "hive-server", "hive-store-conformance"]),
    ("hive-wire", &["sqlx", "rusqlite", "tokio"]),
];

pub(crate) fn run() -> Result<()> {
    let mut faults = Vec::new();
    for path in sources()? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
        faults.extend(faults_of(&name, &text));
        report_length(&name, text.lines().count());
    }
    for (package, forbidden) in FORBIDDEN_CRATES {
        let mut tree = cargo(["tree", "--edges", "normal", "--all-features", "--prefix", "none", "--package", package]);
        let tree = output_of(&mut tree)?;
        faults.extend(forbidden_in(package, &tree, forbidden));
    }
    faults.extend(trees::faults()?);
    faults.extend(find_it::faults()?);
    faults.extend(layers::faults()?);
    faults.extend(type_names::faults()?);
    if faults.is_empty() {
        return Ok(());
    }
    bail!("the rules of the house are broken:\n{}", faults.join("\n"))
}

fn report_length(name: &str, lines: usize) {
    if lines > LONG_FILE {
        println!("note: {name} has {lines} lines; is there a second idea in it?");
    }
}

fn sources() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in SOURCES {
        collect(&root().join(folder), &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// What breaks a rule in one file.
fn faults_of(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > TOO_LONG_FILE {
        faults.push(format!("{name}: {lines} lines are two ideas"));
    }
    if is_crate_root(name) && !text.contains("#![forbid(unsafe_code)]") {
        faults.push(format!("{name}: a crate root says #![forbid(unsafe_code)]"));
    }
    for (line, text) in (1..).zip(text.lines()) {
        faults.extend(fault_of_line(name, text).map(|fault| format!("{name}:{line}: {fault}")));
    }
    faults
}

fn is_crate_root(name: &str) -> bool {
    // A program with modules is the folder `src/bin/NAME`, and its root is `main.rs`.
    let in_bin = name.split_once("/src/bin/").map(|(_, path)| path);
    let is_program = in_bin.is_some_and(|path| !path.contains('/') || path.ends_with("/main.rs"));
    name.ends_with("src/lib.rs") || name.ends_with("src/main.rs") || is_program
}

fn fault_of_line(name: &str, line: &str) -> Option<&'static str> {
    let is_attribute = line.trim_start().starts_with('#');
    if is_attribute && line.contains("[allow(") {
        return Some("an exception is #[expect(lint, reason = \"...\")]");
    }
    let is_open_end = [concat!("TO", "DO"), concat!("FIX", "ME")].iter().any(|word| line.contains(word));
    if is_open_end && !names_an_issue(line) {
        return Some("what is left open names its issue, such as (#12)");
    }
    let is_core = CORE_SOURCES.iter().any(|folder| name.starts_with(folder));
    // Its tests are told by the environment where their database is.
    let is_test = name.ends_with("/tests.rs");
    if is_core && !is_test && line.contains("std::env::") {
        return Some("hive-core reads no environment");
    }
    if name.starts_with("hive-") && line.contains(".lock().expect(") {
        return Some("a poisoned lock is used all the same: unwrap_or_else(PoisonError::into_inner)");
    }
    if name.starts_with("hive-core/src/") && name != DRAFTS && line.contains("AuditDraft::new(") {
        return Some("drafts of audit records are made in audit/draft.rs alone");
    }
    if name.starts_with("hive-server/src/") && !name.starts_with(ROUTES) && line.contains(concat!(".rou", "te(")) {
        return Some("a route is an entry of the table: Routes::get, post, put or delete");
    }
    None
}

fn names_an_issue(line: &str) -> bool {
    line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// What stands in a crate's tree (one `name version` a line) and must not.
fn forbidden_in(package: &str, tree: &str, forbidden: &[&str]) -> Vec<String> {
    let mut found: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|name| forbidden.contains(name));
    found.iter().map(|name| format!("{package} depends on {name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, expected: &[&str]) {
        let faults = faults_of(name, text);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault:?} does not say {part:?}");
        }
    }

    #[test]
    fn each_rule_of_a_file_is_seen() {
        check("hive-cli/src/main.rs", "#![forbid(unsafe_code)]\n", &[]);
        check("hive-cli/src/main.rs", "fn main() {}\n", &["forbid(unsafe_code)"]);
        check("hive-cli/src/output.rs", "fn f() {}\n#[allow(dead_code)]\n", &["output.rs:2: an exception"]);
        check(
            "hive-cli/src/output.rs",
            concat!("// TO", "DO later\n// TO", "DO(#12) later\n"),
            &["output.rs:1: what is left open"],
        );
        check("hive-core/src/keys.rs", "let home = std::env::var(\"HOME\");\n", &["no environment"]);
        check("hive-core/store/src/sqlite.rs", "let home = std::env::var(\"HOME\");\n", &["no environment"]);
        check("hive-core/store/src/postgres/tests.rs", "let url = std::env::var(\"URL\");\n", &[]);
        check("hive-agent/src/config.rs", "let home = std::env::var(\"HOME\");\n", &[]);
        check("hive-core/src/audit/draft.rs", "AuditDraft::new(id)\n", &[]);
        check("hive-agent/src/pty.rs", "let state = self.0.lock().expect(\"no panic\");\n", &["a poisoned lock"]);
        check("hive-core/src/jobs/driver.rs", "AuditDraft::new(id)\n", &["audit/draft.rs alone"]);
        let route = concat!("Router::new().rou", "te(\"/\", get(home))\n");
        check("hive-server/src/rest.rs", route, &["rest.rs:1: a route is an entry of the table"]);
        check("hive-server/src/routes.rs", route, &[]);
        check("examples/mount.rs", route, &[]);
        check("hive-cli/src/output.rs", &"\n".repeat(1001), &["two ideas"]);
    }

    #[test]
    fn a_forbidden_crate_is_named_once() {
        let tree = "hive-agent v0.1.0\nsqlx v0.9.0\nserde v1.0.0\nsqlx v0.9.0 (*)\n";
        assert_eq!(forbidden_in("hive-agent", tree, &["sqlx", "axum"]), ["hive-agent depends on sqlx"]);
    }
}
