//! A hive from Python and Swift: a client of a hive elsewhere, and a hive of one's own.
//!
//! In the order in which a call meets them:
//!
//! - [`Hive`] is the whole interface, here ([`Hive::open`]) or elsewhere ([`Hive::connect`]): `satellites`, `commands`, `jobs`,
//!   `sessions`, `audit` and `identity` are its methods, `embedded` what only a hive in this process can do;
//! - `engine` is the runtime they all run on, and ends with the last of them;
//! - [`records`] are the plain values that go in and come out;
//! - `feed` is a stream of such values, as the languages read it; [`Terminal`] one with a way back;
//! - [`HiveError`] is every failure, one variant a code.
//!
//! Nothing is decided here: the traits of `hive_core` do the work, and who may do what is decided by the hive. Methods are
//! async in each language's own way, run on threads of their own, and are given up when whoever awaits them goes away.
//! What is generated from this crate is wrapped by hand into `hive-ffi/python` and `hive-ffi/swift`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod records;

mod audit;
mod commands;
#[cfg(feature = "embedded")]
mod embedded;
mod engine;
mod error;
mod feed;
mod hive;
mod identity;
mod jobs;
mod satellites;
mod sessions;
mod terminal;

pub use audit::audit_verify_file;
#[cfg(feature = "embedded")]
pub use embedded::Server;
pub use engine::{shut_down, tasks_under_way};
pub use error::{ErrorParts, HiveError, error_parts};
pub use feed::{AuditExport, ExecEvents, JobEvents, SatelliteEvents};
pub use hive::Hive;
pub use jobs::JobProgress;
pub use terminal::Terminal;

uniffi::setup_scaffolding!();
