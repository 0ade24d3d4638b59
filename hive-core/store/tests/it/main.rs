//! The databases of this crate, by its public interface: the conformance suite on each, and what a backup restores.
//!
//! The suite depends on hive-store, so that it cannot run in the unit tests: there every type is another one.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod authority;
#[cfg(feature = "sqlite")]
mod backup;
#[cfg(feature = "sqlite")]
mod layer;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
