//! The interface of a hive for Python and Swift: a client of a remote hive, or an embedded hive.
//!
//! The modules in the order in which a call reaches them:
//!
//! - [`Hive`] is the whole interface, embedded ([`Hive::open`]) or remote ([`Hive::connect`]). Its methods are in `satellites`,
//!   `commands`, `jobs`, `sessions`, `audit`, `identity` and `credentials`, and `request` for any other call; those of an embedded hive alone are in `server`;
//! - `backend` is the hive that carries out the calls: `embedded`, or a client;
//! - `engine` is the runtime of all objects, and ends with the last of them;
//! - [`records`] are the plain values of arguments and results; `lookup` finds what arguments name;
//! - `streams` are the objects for streams of such values, each a `feed` that is read in two steps; [`Terminal`] is a stream with a way back;
//! - [`HiveError`] is every error, one variant per code.
//!
//! This crate decides nothing: the traits of `hive_core` do the work, and the hive checks permissions. Methods are async in the
//! way of each language, run on the threads of the engine, and are cancelled when the caller stops waiting. Hand-written code
//! in `hive-ffi/python` and `hive-ffi/swift` wraps what is generated from this crate.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod records;

mod audit;
mod backend;
mod commands;
mod credentials;
#[cfg(feature = "embedded")]
mod embedded;
mod engine;
mod error;
mod feed;
mod hive;
mod identity;
mod jobs;
mod lookup;
mod request;
mod satellites;
#[cfg(feature = "embedded")]
mod server;
mod sessions;
mod streams;
mod terminal;

pub use audit::audit_verify_file;
pub use engine::{shut_down, tasks_under_way};
pub use error::{ErrorParts, HiveError, error_parts};
pub use hive::Hive;
pub use jobs::JobProgress;
#[cfg(feature = "embedded")]
pub use server::Server;
pub use streams::{AuditExport, ExecEvents, JobEvents, SatelliteEvents};
pub use terminal::Terminal;

uniffi::setup_scaffolding!();
