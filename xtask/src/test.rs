//! `cargo xtask test`: builds the binaries, then runs everything that proves something with them.

use std::path::Path;

use anyhow::{Context, Result};

use crate::hive::UpHive;
use crate::postgres::Postgres;
use crate::run::{self, WORKSPACE, built, cargo, program, root, without_us, works};
use crate::steps::StepTimes;
use crate::tiers::{END_TO_END_IN_NEXTEST, Selection, Tier};
use crate::{bindings, machine, schemathesis, slowest};

/// The profile of everything that runs in tests, so that nothing is compiled twice.
const PROFILE: &str = "debug";

/// Benches are no tests: they would run.
const TESTED: [&str; 3] = ["--lib", "--bins", "--tests"];

/// What drives servers from outside, and therefore can use another database.
const END_TO_END: [&str; 2] = ["--test", "it"];

/// Opens a keyring whose home is `$0`, and becomes the program that its arguments name. The keyring goes with the bus.
const BESIDE_A_KEYRING: &str =
    r#"printf secret | HOME="$0" gnome-keyring-daemon --unlock --components=secrets >/dev/null && exec "$@""#;

/// Which database the servers of the end-to-end tests use.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum TestDatabase {
    Sqlite,
    Postgres,
}

impl TestDatabase {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// The profile of nextest for tests on this database (`.config/nextest.toml`).
    fn profile(self) -> &'static str {
        match self {
            Self::Sqlite => "default",
            Self::Postgres => "postgres",
        }
    }
}

/// Runs a tier, or the tests whose name contains `filter` on both databases.
pub(crate) fn run(filter: Option<&str>, tier: Tier, steps: &mut StepTimes) -> Result<()> {
    steps.step("build", build)?;
    let postgres = Postgres::start()?;
    let (on_sqlite, on_postgres) = match (filter, tier) {
        (Some(filter), _) => (Selection::Named(filter), Selection::Named(filter)),
        (None, Tier::Usual) => (Selection::Usual, Selection::PostgresSlice),
        (None, Tier::All) => (Selection::All, Selection::All),
    };
    if filter.is_none() {
        steps.step("doctests", doctests)?;
        from_outside(steps)?;
        // It takes more than the 90 s that the usual tier has for it.
        if tier == Tier::All {
            steps.step("Schemathesis", || api_document(tier, &postgres))?;
        }
    }
    // Last, because their last lines are the summary. What fails on one database is no reason not to try the other.
    let on_sqlite = steps.step("tests, SQLite", || tests(TestDatabase::Sqlite, &TESTED, on_sqlite, &postgres));
    let on_postgres =
        steps.step("tests, PostgreSQL", || tests(TestDatabase::Postgres, &END_TO_END, on_postgres, &postgres));
    slowest::print(&[TestDatabase::Sqlite, TestDatabase::Postgres].map(TestDatabase::profile));
    on_sqlite.and(on_postgres)
}

/// Runs the end-to-end tests on one database.
pub(crate) fn end_to_end(database: TestDatabase, filter: Option<&str>) -> Result<()> {
    build()?;
    tests(database, &END_TO_END, filter.map_or(Selection::All, Selection::Named), &Postgres::start()?)
}

/// All in one go, with the targets and features of the test run, so that it finds everything built.
fn build() -> Result<()> {
    machine::ensure(machine::SCREENS.iter().chain(&machine::BAD_DAYS).chain(&machine::BINDINGS))?;
    run::run(cargo(["build"]).args(WORKSPACE).args(TESTED).arg("--examples"))
}

fn tests(database: TestDatabase, targets: &[&str], selection: Selection<'_>, postgres: &Postgres) -> Result<()> {
    let has_nextest = works("cargo-nextest", ["--version"]);
    let mut tests = if has_nextest { cargo(["nextest", "run"]) } else { cargo(["test"]) };
    tests.args(WORKSPACE).args(targets).arg("--no-fail-fast");
    // Those that need PostgreSQL are left out only where nobody has started one. That a filter leaves none of the end-to-end
    // tests is no failure: it found others.
    if has_nextest {
        tests.args(["--run-ignored", "all", "--profile", database.profile(), "--test-threads", &at_once().to_string()]);
        if targets == END_TO_END {
            selection.select_in_nextest(END_TO_END_IN_NEXTEST, tests.args(["--no-tests", "pass"]));
        } else {
            selection.select_in_nextest("all()", &mut tests);
        }
    } else {
        tests.args(["--", "--include-ignored"]);
        selection.select_in_cargo_test(&mut tests);
    }
    tests.env("HIVE_TEST_POSTGRES", postgres.url()).env("HIVE_TEST_DATABASE", database.name());
    if matches!(selection, Selection::Schemathesis(_) | Selection::Named(_)) {
        tests.env("HIVE_SCHEMATHESIS", schemathesis::ready()?);
    }
    // Member binaries get no `CARGO_BIN_EXE_*` in the root package: the testkit finds them here.
    run::run(tests.env("HIVE_BIN_DIR", built(PROFILE)))
}

/// Compares the API's document with its server; with everything on both databases, because what SQL refuses differs.
fn api_document(tier: Tier, postgres: &Postgres) -> Result<()> {
    let on = |database| tests(database, &END_TO_END, Selection::Schemathesis(tier), postgres);
    on(TestDatabase::Sqlite)?;
    if tier == Tier::All { on(TestDatabase::Postgres) } else { Ok(()) }
}

/// How many tests run at the same time: one that waits for another process, or for a heartbeat, needs no processor.
fn at_once() -> usize {
    2 * std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs the tests of logins beside a keyring of their own.
pub(crate) fn keyring() -> Result<()> {
    machine::ensure(&machine::KEYRING)?;
    build()?;
    let home = built("xtask-keyring");
    std::fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let mut session = without_us(program("dbus-run-session"));
    session.args(["--", "sh", "-c", BESIDE_A_KEYRING]).arg(&home).args(["cargo", "test"]).args(WORKSPACE);
    session.args(END_TO_END).arg("command_line::keyring");
    run::run(session.env("HIVE_BIN_DIR", built(PROFILE)).env("HIVE_TEST_KEYRING", "yes"))
}

/// Runs the test of the crowd that does not read for so long, on binaries as they are shipped.
pub(crate) fn soak(seconds: u32) -> Result<()> {
    run::run(&mut cargo(["build", "--release", "--workspace", "--bins"]))?;
    let mut test = cargo(["test", "--package", "satellite-hive", "--test", "it", "crowd::long"]);
    run::run(test.env("HIVE_BIN_DIR", built("release")).env("HIVE_SOAK_SECONDS", seconds.to_string()))
}

/// Runs the test that breaks everything at random for so many rounds.
pub(crate) fn chaos(rounds: u32, seed: Option<u64>) -> Result<()> {
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("chaos of {rounds} rounds: cargo xtask chaos {rounds} --seed {seed}");
    build()?;
    let mut test = cargo(["test"]);
    test.args(WORKSPACE).args(["--test", "it", "chaos::long", "--", "--nocapture"]).env("HIVE_BIN_DIR", built(PROFILE));
    run::run(test.env("HIVE_CHAOS_ROUNDS", rounds.to_string()).env("HIVE_CHAOS_SEED", seed.to_string()))
}

fn doctests() -> Result<()> {
    run::run(cargo(["test", "--doc"]).args(WORKSPACE))
}

/// What drives a hive from outside: the examples and the bindings.
fn from_outside(steps: &mut StepTimes) -> Result<()> {
    let hive = UpHive::start(PROFILE)?;
    steps.step("examples", || examples(&hive))?;
    steps.step("bindings", || bindings::test(&hive, PROFILE))
}

/// Runs each example as it is.
fn examples(hive: &UpHive) -> Result<()> {
    for name in sources_in(&root().join("examples"))? {
        let path = built(PROFILE).join("examples").join(name);
        run::run(hive.tell(&mut program(&path.to_string_lossy())))?;
    }
    Ok(())
}

/// The Rust files of a folder, by name, without their ending.
fn sources_in(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        let stem = path.file_stem().filter(|_| path.extension().is_some_and(|ending| ending == "rs"));
        names.extend(stem.map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
