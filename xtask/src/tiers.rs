//! Which tests run when: the tiers of CONTRIBUTING.md.
//!
//! - Usual: everything on SQLite but the long tests, and on PostgreSQL the tests of its store and [`POSTGRES_SLICE`].
//! - All: everything on both, the long tests too; and the checks that compile all dependencies anew.
//!
//! Schemathesis, which calls every operation of the API's document, runs with everything, as a step of its own.
//!
//! The name of a test decides, so that nothing has to be marked twice.

use std::process::Command;

/// The end-to-end tests that run on PostgreSQL each time: what lies behind them is SQL, a transaction, or a database that is
/// gone. What else there is runs on PostgreSQL with `cargo xtask test --all`.
const POSTGRES_SLICE: [&str; 10] = [
    "audit::",
    "backup::",
    "crash::",
    "database::",
    "faults::",
    "idempotency::",
    "jobs::",
    "queue::",
    "storm::",
    "telemetry::",
];

/// Whose end-to-end tests drive servers on another database: `satellite-hive` alone has any.
pub(crate) const END_TO_END_IN_NEXTEST: &str = "binary_id(satellite-hive::it)";

/// Where tests lie that run only with `cargo xtask test --all`: in a module of this name, beside a short test of the same claim.
const LONG: &str = "long::";

/// The tests that need Schemathesis. They are a step of their own, so that its time is in the table of steps.
const SCHEMATHESIS: &str = "schemathesis::";

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Usual,
    All,
}

impl Tier {
    pub(crate) fn of(all: bool) -> Self {
        if all { Self::All } else { Self::Usual }
    }
}

/// Which tests of a target are run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Selection<'f> {
    /// Everything but Schemathesis.
    All,
    /// Everything but the long ones and Schemathesis.
    Usual,
    /// What PostgreSQL answers for each time.
    PostgresSlice,
    /// Schemathesis, and in the usual tier without the long tests.
    Schemathesis(Tier),
    /// Those whose name contains this, long or not.
    Named(&'f str),
}

impl Selection<'_> {
    /// Adds what selects these tests among those of `targets` to `cargo nextest run`. `targets` is an expression of nextest.
    pub(crate) fn select_in_nextest(self, targets: &str, tests: &mut Command) {
        let expression = match self {
            Self::Named(_) => targets.to_owned(),
            Self::All => format!("{targets} & not test(/^{SCHEMATHESIS}/)"),
            Self::Usual => format!("{targets} & not test(/^{SCHEMATHESIS}/) & {}", not_long()),
            Self::Schemathesis(Tier::All) => format!("{targets} & test(/^{SCHEMATHESIS}/)"),
            Self::Schemathesis(Tier::Usual) => format!("{targets} & test(/^{SCHEMATHESIS}/) & {}", not_long()),
            Self::PostgresSlice => {
                let modules = POSTGRES_SLICE.map(|module| format!("test(/^{module}/)")).join(" | ");
                format!("{targets} & ({modules}) & {}", not_long())
            }
        };
        tests.args(["-E", &expression]);
        if let Self::Named(name) = self {
            tests.arg(name);
        }
    }

    /// Adds the same behind the `--` of `cargo test`, which knows parts of names only.
    pub(crate) fn select_in_cargo_test(self, tests: &mut Command) {
        match self {
            Self::All => tests.args(["--skip", SCHEMATHESIS]),
            Self::Usual => tests.args(["--skip", LONG, "--skip", SCHEMATHESIS]),
            Self::Schemathesis(Tier::All) => tests.arg(SCHEMATHESIS),
            Self::Schemathesis(Tier::Usual) => tests.args([SCHEMATHESIS, "--skip", LONG]),
            Self::PostgresSlice => tests.args(POSTGRES_SLICE).args(["--skip", LONG]),
            Self::Named(name) => tests.arg(name),
        };
    }
}

fn not_long() -> String {
    format!("not test(/(^|::){LONG}/)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::root;

    #[test]
    fn the_slice_for_postgres_names_modules_that_are_there() {
        for module in POSTGRES_SLICE {
            let file = root().join("tests").join("it").join(module.replace("::", ".rs"));
            assert!(file.is_file(), "there is no {}", file.display());
        }
    }
}
