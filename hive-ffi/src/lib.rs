//! A hive from Python and Swift: a client of a hive elsewhere.
//!
//! [`Hive`] is the whole interface; [`Satellite`], [`Command`] and [`CommandOutcome`] are plain records, and every
//! failure is a [`HiveError`], which the languages raise as a typed exception. Methods are async in each language's own
//! way and run on tokio inside the library.
//!
//! Nothing is decided here: the client is `hive_core::RemoteHive`, and who may do what is decided by the hive.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod hive;
mod records;

pub use error::HiveError;
pub use hive::Hive;
pub use records::{Command, CommandOutcome, Satellite};

uniffi::setup_scaffolding!();
