//! The project's chores: `cargo xtask test`, `lint`, `bench`, `bindings`, `wheel`, `swift`, `package`, `keyring`, `soak`,
//! `chaos`, `ci`.
//!
//! - [`ci`] is what a change must pass, in a time that is limited, and [`steps`] the table of where that time went;
//! - [`mod@test`] builds the binaries and runs the tests of a tier ([`tiers`]) on a machine that [`machine`] has made ready, and
//!   [`slowest`] says which tests took longest;
//! - [`lint`] holds what can be held without running it, [`tidy`] what no other tool looks at, [`trees`] what the small crates
//!   depend on, [`find_it`] the answers of `docs/find-it.md`, [`matrix`] each crate with each of its features alone,
//!   [`mod@package`] what others would get;
//! - [`bindings`] builds what Python and Swift see, and tries it from there;
//! - [`mod@bench`] prints the figures, and [`table`] writes them down for people;
//! - [`run`] starts the programs that do the work, [`hive`] a hive and [`postgres`] a database for those that need one,
//!   [`schemathesis`] the environment of the programs that check the API's document.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore tells what it does")]

mod bench;
mod bindings;
mod ci;
mod find_it;
mod hive;
mod imports;
mod layers;
mod lint;
mod machine;
mod matrix;
mod package;
mod postgres;
mod run;
mod schemathesis;
mod slowest;
mod steps;
mod table;
mod test;
mod tidy;
mod tiers;
mod trees;
mod type_names;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use steps::StepTimes;
use test::TestDatabase;
use tiers::Tier;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
enum Chore {
    /// Runs the tests: units, doctests, examples, bindings, and end to end on SQLite, and a slice of them on PostgreSQL.
    Test {
        /// Runs only the tests whose name contains this, on both databases, and no examples or bindings.
        filter: Option<String>,
        /// Runs everything on both databases, the long tests too.
        #[arg(long, conflicts_with_all = ["filter", "database"])]
        all: bool,
        /// Runs only the end-to-end tests, on this database.
        #[arg(long, value_name = "sqlite|postgres")]
        database: Option<TestDatabase>,
    },
    /// Checks format, lints, documentation and the rules of the house.
    Lint {
        /// Checks the fuzz targets too, and each crate with each of its features alone.
        #[arg(long)]
        all: bool,
    },
    /// Checks the rules of the house alone.
    Tidy,
    /// Measures: one JSON line a figure, and a table of them.
    Bench {
        /// Runs only these.
        names: Vec<String>,
    },
    /// Makes the packages for crates.io, and builds each from what is in it.
    Package,
    /// Tries the Python and Swift bindings alone.
    Bindings,
    /// Builds the Python wheel, into target/wheels.
    Wheel,
    /// Writes the Swift package, into target/swift.
    Swift,
    /// Runs the tests of logins beside a keyring, as on a desktop.
    Keyring,
    /// Lets fifty viewers stand before a flood without reading it, and looks at what they cost.
    Soak {
        /// For how long.
        #[arg(default_value_t = 600)]
        seconds: u32,
    },
    /// Breaks servers, satellites and links at random, and looks whether every promise is kept; stops where one is not.
    Chaos {
        /// How many times something is broken.
        #[arg(default_value_t = 2_000)]
        rounds: u32,
        /// The number all chance comes from, to repeat a run.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// What a change must pass: lint, then test. Fails where both together take more than 40 minutes.
    Ci {
        /// When the run began, in seconds since 1970, so that what was compiled before counts.
        #[arg(long)]
        began: Option<u64>,
        /// Checks and runs everything, without a limit on the time.
        #[arg(long)]
        all: bool,
    },
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Test { filter, database: Some(database), .. } => test::end_to_end(database, filter.as_deref()),
        Chore::Test { filter, all, .. } => with_times(|steps| test::run(filter.as_deref(), Tier::of(all), steps)),
        Chore::Lint { all } => with_times(|steps| lint::run(Tier::of(all), steps)),
        Chore::Tidy => tidy::run(),
        Chore::Bench { names } => bench::run(&names),
        Chore::Package => package::run(package::Check::Build),
        Chore::Bindings => bindings::run(),
        Chore::Wheel => bindings::wheel(),
        Chore::Swift => bindings::swift_package(),
        Chore::Keyring => test::keyring(),
        Chore::Soak { seconds } => test::soak(seconds),
        Chore::Chaos { rounds, seed } => test::chaos(rounds, seed),
        Chore::Ci { began, all } => ci::run(Tier::of(all), began),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the steps of a chore, and prints how long each took.
fn with_times(chore: impl FnOnce(&mut StepTimes) -> Result<()>) -> Result<()> {
    let mut steps = StepTimes::start();
    let done = chore(&mut steps);
    println!("\n{steps}");
    done
}
