//! Which modules of a crate use which: the edges that the checks of services and of import cycles read.
//!
//! A module is a top-level one, with all of its files. Tests are left out: they use whatever they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The sources of all crates.
pub(crate) const SOURCES: [&str; 11] = [
    "hive-agent/src",
    "hive-cli/src",
    "hive-core/src",
    "hive-core/store/conformance/src",
    "hive-core/store/src",
    "hive-core/wire/src",
    "hive-ffi/src",
    "hive-server/src",
    "tests/peers/src",
    "tests/testkit/src",
    "xtask/src",
];

/// One use of a module by another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Where it is, as `file:line`.
    pub(crate) place: String,
}

/// The sources of one crate.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Path below `src/` and text, the crate root first.
    files: Vec<(String, String)>,
    /// The path of `src/`, for messages.
    folder: String,
}

impl Sources {
    /// Reads a crate's `src/`.
    pub(crate) fn read(root: &Path, folder: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        collect(folder, &mut paths)?;
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned(), text));
        }
        Ok(Self { files, folder: folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().into_owned() })
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Self { files, folder: "src".to_owned() }
    }

    /// Returns the uses of one top-level module by another one.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        let root_items = self.root_items();
        let mut edges = Vec::new();
        for (name, module, line, code) in self.lines() {
            for path in paths_in(&code, &module) {
                let Some(first) = path.first() else { continue };
                // What the crate root re-exports is of the module that defines it.
                let to = root_items.get(first).unwrap_or(first);
                if *to != module[0] && self.has_module(to) {
                    let place = format!("{}/{name}:{line}", self.folder);
                    edges.push(Edge { from: module[0].clone(), to: to.clone(), place });
                }
            }
        }
        edges
    }

    /// Returns the lines of code of all modules: the file, its module path, the line's number and its text. A `use` that spans
    /// lines is one line. Comments and tests are left out.
    pub(crate) fn lines(&self) -> Vec<(String, Vec<String>, usize, String)> {
        let mut lines = Vec::new();
        for (name, text) in &self.files {
            let module = module_path(name);
            // The crate root joins all modules, and so uses each of them.
            if module.is_empty() || module.iter().any(|part| part == "tests") {
                continue;
            }
            let statements = statements(without_tests(text));
            lines.extend(statements.into_iter().map(|(line, code)| (name.clone(), module.clone(), line, code)));
        }
        lines
    }

    fn has_module(&self, module: &str) -> bool {
        self.files.iter().any(|(name, _)| module_path(name).first().is_some_and(|first| first == module))
    }

    /// Returns what `pub use module::Item` in the crate root gives other names to.
    fn root_items(&self) -> BTreeMap<String, String> {
        let mut items = BTreeMap::new();
        for (_, text) in self.files.iter().filter(|(name, _)| module_path(name).is_empty()) {
            for (_, code) in statements(without_tests(text)) {
                let Some((_, path)) = code.split_once("use ") else { continue };
                for path in expanded(path.trim_end_matches(';')) {
                    if let [module, .., item] = &path[..] {
                        items.insert(item.clone(), module.clone());
                    }
                }
            }
        }
        items
    }
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The path of a file's module; empty for a crate root.
fn module_path(name: &str) -> Vec<String> {
    let parts: Vec<_> = name.trim_end_matches(".rs").split('/').collect();
    match parts[..] {
        ["lib" | "main"] | ["bin", ..] => Vec::new(),
        _ => parts.into_iter().filter(|part| *part != "mod").map(str::to_owned).collect(),
    }
}

/// The text before the tests, which stand at the end of a file.
fn without_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code)
}

/// The code of a file without comments. A `use` is one line, at its first.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    let mut is_in_use = false;
    for (line, text) in (1..).zip(text.lines()) {
        // A `//` inside a text cuts that line short, which costs an edge at worst and never invents one.
        let code = text.split("//").next().unwrap_or_default().trim();
        match statements.last_mut() {
            Some((_, last)) if is_in_use => last.push_str(code),
            _ => statements.push((line, code.to_owned())),
        }
        let begins_use =
            ["use ", "pub use ", "pub(crate) use ", "pub(super) use "].iter().any(|word| code.starts_with(word));
        is_in_use = (is_in_use || begins_use) && !code.ends_with(';');
    }
    statements
}

/// The paths of a line that begin at the crate root, whether they are written by `crate` or by `super`.
fn paths_in(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` of a macro and `other_crate::` are paths of something else.
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_$:".contains(c)) {
            paths.extend(expanded(&code[at + "crate::".len()..]));
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") || code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c)) {
            continue;
        }
        let rest = &code[at..];
        let path = rest.trim_start_matches("super::");
        let levels = (rest.len() - path.len()) / "super::".len();
        // Only a path up to the crate root reaches another top-level module.
        if levels == module.len() {
            paths.extend(expanded(path));
        }
    }
    paths
}

/// Each path that a use tree stands for, such as `a::{b, c::D}`.
fn expanded(tree: &str) -> Vec<Vec<String>> {
    let end = tree.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':' || c == '{')).unwrap_or(tree.len());
    let Some(brace) = tree[..end].find('{') else {
        let path = tree[..end].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        return vec![path];
    };
    let prefix: Vec<String> = tree[..brace].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let mut paths = Vec::new();
    for branch in branches(&tree[brace + 1..]) {
        for path in expanded(branch.trim()) {
            paths.push(prefix.iter().cloned().chain(path).collect());
        }
    }
    paths
}

/// The parts between the commas of a brace, up to its end.
fn branches(inside: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            // What is behind the closing brace belongs to the tree around this one.
            '}' if depth == 0 => {
                parts.push(&inside[begin..at]);
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[(&str, &str, &str)]) {
        let edges = Sources::of(files).edges();
        let found: Vec<_> = edges.iter().map(|edge| (&*edge.from, &*edge.to, &*edge.place)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn uses_of_other_modules_are_edges() {
        let others = [("b.rs", ""), ("c.rs", ""), ("a.rs", "")];
        let with = |text| [others[0], others[1], ("a/deep.rs", text)];
        check(&with("use crate::b::Thing;\n"), &[("a", "b", "src/a/deep.rs:1")]);
        check(
            &with("\nuse crate::{\n    a::Own,\n    b::{Thing, Other},\n    c,\n};\n"),
            &[("a", "b", "src/a/deep.rs:2"), ("a", "b", "src/a/deep.rs:2"), ("a", "c", "src/a/deep.rs:2")],
        );
        check(
            &with("fn f() -> crate::b::Thing {\n    super::super::c::g()\n}\n"),
            &[("a", "b", "src/a/deep.rs:1"), ("a", "c", "src/a/deep.rs:2")],
        );
        check(&with("use super::Own;\nuse std::b::Thing;\n// crate::b::Thing\nuse other_crate::b::X;\n"), &[]);
    }

    #[test]
    fn tests_use_what_they_need() {
        let b = ("b.rs", "");
        check(&[b, ("a.rs", "#[cfg(test)]\nmod tests {\n    use crate::b::Thing;\n}\n")], &[]);
        check(&[b, ("a/tests.rs", "use crate::b::Thing;\n"), ("a/tests/more.rs", "use crate::b::Thing;\n")], &[]);
    }

    #[test]
    fn what_the_root_exports_is_of_its_module() {
        let root = ("lib.rs", "mod a;\npub mod b;\npub use b::{Thing, deep::Other};\n");
        let files = |text| [root, ("b.rs", ""), ("a.rs", text)];
        check(&files("use crate::Thing;\n"), &[("a", "b", "src/a.rs:1")]);
        check(&files("use crate::{Other, Result};\n"), &[("a", "b", "src/a.rs:1")]);
    }
}
