//! Which module may use which: services call downward only, and modules of a crate do not use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::imports::{Edge, SOURCES, Sources};
use crate::run::root;

/// The services of hive-core, the lowest first: what each may use, of services, is what stands before it. ARCHITECTURE.md says why.
const SERVICES: [&str; 20] = [
    "context",
    "answers",
    "allow_lists",
    "grants",
    "events",
    "audit",
    "identity",
    "links",
    "telemetry",
    "satellites",
    "groups",
    "commands",
    "jobs",
    "exec",
    "sessions",
    "link_handler",
    "live",
    "housekeeping",
    "retention",
    "hive",
];

/// What owns the services. No service names it.
const OWNERS: [&str; 2] = ["Hive", "ActingHive"];

/// What breaks the order of the services, and the circles of imports.
pub(crate) fn faults() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for folder in SOURCES {
        let sources = Sources::read(root(), &root().join(folder))?;
        let edges = sources.edges();
        faults.extend(circles(&edges));
        if folder == "hive-core/src" {
            faults.extend(upward(&edges));
            faults.extend(owners(&sources));
        }
    }
    Ok(faults)
}

/// The uses of a service by one that stands before it.
fn upward(edges: &[Edge]) -> Vec<String> {
    // A module without a rank is no service, and may be used by all.
    let rank = |module: &str| SERVICES.iter().position(|service| *service == module);
    let is_upward = |edge: &&Edge| rank(&edge.from).zip(rank(&edge.to)).is_some_and(|(from, to)| from < to);
    let fault = |edge: &Edge| {
        format!("{}: the service {} uses {}, which is above it: let {1} observe it", edge.place, edge.from, edge.to)
    };
    edges.iter().filter(is_upward).map(fault).collect()
}

/// The services that name the hive itself.
fn owners(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, module, line, code) in sources.lines() {
        let is_service = module[0] != "hive" && SERVICES.contains(&module[0].as_str());
        if let Some(owner) = OWNERS.iter().find(|owner| is_service && names(&code, owner)) {
            faults.push(format!("hive-core/src/{file}:{line}: the service {} names {owner}, which owns it", module[0]));
        }
    }
    faults
}

fn names(code: &str, word: &str) -> bool {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word)
}

/// The circles of modules that use each other, each once.
fn circles(edges: &[Edge]) -> Vec<String> {
    let mut uses: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for edge in edges {
        uses.entry(&edge.from).or_default().entry(&edge.to).or_insert(&edge.place);
    }
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for module in uses.keys() {
        let reachable = reachable(&uses, module);
        if !reachable.contains(module) || seen.contains(module) {
            continue;
        }
        let circle: Vec<_> = shortest_way_back(&uses, module);
        // Each module of it would find the same circle again.
        seen.extend(circle.iter().map(|(from, ..)| *from));
        let steps: Vec<_> = circle.iter().map(|(from, to, place)| format!("{from} uses {to} ({place})")).collect();
        faults.push(format!("modules use each other in a circle: {}", steps.join(", ")));
    }
    faults
}

fn reachable<'e>(uses: &BTreeMap<&'e str, BTreeMap<&'e str, &'e str>>, from: &str) -> BTreeSet<&'e str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = uses.get(from).into_iter().flat_map(BTreeMap::keys).copied().collect();
    while let Some(module) = open.pop() {
        if let Some((module, _)) = uses.get_key_value(module).filter(|(module, _)| !found.contains(*module)) {
            found.insert(*module);
            open.extend(uses[module].keys());
        }
    }
    found
}

/// The shortest circle through a module, as its edges.
fn shortest_way_back<'e>(
    uses: &BTreeMap<&'e str, BTreeMap<&'e str, &'e str>>,
    module: &'e str,
) -> Vec<(&'e str, &'e str, &'e str)> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([module]);
    while let Some(from) = open.pop_front() {
        for to in uses.get(from).into_iter().flat_map(BTreeMap::keys) {
            // The search goes by distance, so that the first way back is a shortest one.
            if *to == module {
                let mut way = vec![(from, *to, uses[from][to])];
                let mut at = from;
                while let Some(before) = came_from.get(at) {
                    way.insert(0, (before, at, uses[before][at]));
                    at = before;
                }
                return way;
            }
            if !came_from.contains_key(to) {
                came_from.insert(to, from);
                open.push_back(to);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(faults: Vec<String>, expected: &[&str]) {
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault:?} does not say {part:?}");
        }
    }

    #[test]
    fn a_service_that_uses_one_above_it_is_a_fault() {
        let files = |commands, jobs| Sources::of(&[("commands.rs", commands), ("jobs/driver.rs", jobs)]).edges();
        check(upward(&files("", "use crate::commands::Commands;\n")), &[]);
        check(upward(&files("use crate::jobs::Jobs;\n", "")), &["src/commands.rs:1: the service commands uses jobs"]);
        let field = "struct Commands {\n    jobs: std::sync::Arc<crate::jobs::Jobs>,\n}\n";
        check(upward(&files(field, "")), &["src/commands.rs:2:"]);
    }

    #[test]
    fn a_service_that_names_the_hive_is_a_fault() {
        let commands = |text| owners(&Sources::of(&[("commands/accept.rs", text), ("hive.rs", "struct Hive;\n")]));
        check(commands("struct Hives;\n// of a Hive\n"), &[]);
        check(
            commands("fn f(hive: &crate::hive::Hive) {}\n"),
            &["hive-core/src/commands/accept.rs:1: the service commands names Hive"],
        );
        check(
            commands("struct S {\n    acting: ActingHive,\n}\n"),
            &["accept.rs:2: the service commands names ActingHive"],
        );
        check(commands("#[cfg(test)]\nmod tests {\n    use crate::Hive;\n}\n"), &[]);
    }

    #[test]
    fn a_circle_is_named_once_with_its_places() {
        let of = |files: &[(&str, &str)]| circles(&Sources::of(files).edges());
        check(of(&[("a.rs", "use crate::b::B;\n"), ("b.rs", "use crate::c::C;\n"), ("c.rs", "")]), &[]);
        let three =
            [("a.rs", "use crate::b::B;\n"), ("b.rs", "use crate::c::C;\n"), ("c/deep.rs", "\nuse crate::a::A;\n")];
        check(of(&three), &["a uses b (src/a.rs:1), b uses c (src/b.rs:1), c uses a (src/c/deep.rs:2)"]);
    }
}
