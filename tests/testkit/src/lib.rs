//! Real servers, satellites and command lines for end-to-end tests and benches.
//!
//! In the order in which a test meets them:
//!
//! - [`TestHive`] starts a real `hive-server` on a free port, on a hive that has an admin with an API key;
//! - [`TestSatellite`] is a real `satellite-agent` of that hive;
//! - [`TestHive::rest`] and [`TestHive::cli`] drive it from outside: [`Rest`] over HTTP, [`Finished`] is what a command
//!   line left behind;
//! - [`Console`] is a program on a terminal, with somebody in front of it;
//! - [`FaultProxy`] stands in a link and breaks it, [`SmallDisk`] is soon full, [`FailingDisk`] keeps nothing, a
//!   [`HangingDisk`] does not answer, and a [`WallClock`] is wrong;
//! - [`PostgresDatabase`] is where it keeps its data when the run is about PostgreSQL;
//! - [`Simulator`] is thousands of fake satellites, each with a real link;
//! - [`Process`] signals, kills and waits, [`procfs`] looks at what a process has started;
//! - [`until`] waits for a condition: nothing here waits for a time.
//!
//! What is no program of ours is played by hive-test-peers: satellites, hives and callers. The REST client and the waiting for
//! conditions are its, and are here too.
//!
//! What is started here ends with the value that started it, by the ids it was started under. What goes wrong panics,
//! and a panicking test prints the end of every log.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed check panics and its logs go where the output of the test goes"
)]

mod bandwidth;
mod binaries;
mod cli;
mod console;
mod database;
mod disk;
mod faults;
mod future;
mod hive;
mod process;
pub mod procfs;
mod satellite;
mod seed;
mod simulator;
mod wall_clock;
mod year;

pub use binaries::binary;
pub use cli::Finished;
pub use console::Console;
pub use database::{Engine, PostgresDatabase};
pub use disk::{FailingDisk, HangingDisk, SmallDisk};
pub use faults::{FaultProxy, Toward, Upgrades};
pub use future::{Later, LaterProxy};
pub use hive::{ServerOptions, TestHive};
pub use hive_test_peers::{Answer, Call, PATIENCE, Rest, StreamedEvents, UiClient, until, until_some};
pub use nix::sys::signal::Signal;
pub use process::Process;
pub use satellite::{SatelliteOptions, TestSatellite};
pub use simulator::{SimulatedIdentity, Simulator, Tally, enrol};
pub use vt100::{MouseProtocolMode, Screen};
pub use wall_clock::WallClock;
