#![doc = include_str!("tutorial.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::sync::Arc;

pub use hive_store as store;
pub use hive_wire as wire;

#[macro_use]
mod accessors;

pub mod access;
mod allow_lists;
pub mod answers;
pub mod audit;
mod authorization;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
pub mod commands;
mod context;
pub mod error;
mod events;
mod exec;
mod grants;
pub mod groups;
mod handle;
pub mod hive;
mod housekeeping;
mod idempotency;
pub mod identity;
pub mod jobs;
pub mod keys;
pub mod link;
mod link_handler;
mod links;
pub mod lists;
pub mod live;
mod networks;
mod observers;
mod redaction;
mod retention;
mod retry;
pub mod satellites;
pub mod sessions;
mod settings;
pub mod subscription;
mod sync;
mod telemetry;
pub mod terminal;
mod unreadable;
mod validate;
pub mod vault;

pub use access::Principal;
pub use audit::AuditLogger;
#[cfg(feature = "client")]
pub use client::RemoteHive;
pub use commands::CommandRouter;
pub use error::{Error, Result};
pub use events::{EventItem, PublishedEvent};
pub use groups::GroupManager;
pub use hive::{ActingHive, Hive, HiveBuilder};
pub use identity::Identity;
pub use jobs::JobManager;
pub use satellites::DeviceRegistry;
pub use sessions::SessionManager;
pub use subscription::Subscription;

/// A hive, in this process or elsewhere: one accessor for each of its areas.
///
/// [`ActingHive`] and `RemoteHive` (feature `client`) implement it, with the same promises: a program that takes `&dyn HiveApi`
/// works with both. An accessor returns a handle that is owned: it holds the caller's identity and the service, and may be kept
/// and sent to other tasks.
///
/// The trait is sealed, so that a new area is no breaking change. Two areas may have methods of the same name:
///
/// ```no_run
/// # async fn both(hive: &dyn hive_core::HiveApi, machine: hive_core::wire::SatelliteId, job: hive_core::wire::JobId)
/// #     -> hive_core::Result<()> {
/// let satellite = hive.satellites().get(machine).await?;
/// let job = hive.jobs().get(job).await?;
/// # Ok(())
/// # }
/// ```
///
/// The hive itself has no `get`:
///
/// ```compile_fail,E0599
/// # async fn neither(hive: &dyn hive_core::HiveApi, machine: hive_core::wire::SatelliteId) -> hive_core::Result<()> {
/// let satellite = hive.get(machine).await?;
/// # Ok(())
/// # }
/// ```
///
/// Programs use it and do not implement it:
///
/// ```compile_fail,E0277
/// struct Mine;
/// impl hive_core::HiveApi for Mine {
///     fn satellites(&self) -> std::sync::Arc<dyn hive_core::DeviceRegistry> { loop {} }
///     fn commands(&self) -> std::sync::Arc<dyn hive_core::CommandRouter> { loop {} }
///     fn jobs(&self) -> std::sync::Arc<dyn hive_core::JobManager> { loop {} }
///     fn groups(&self) -> std::sync::Arc<dyn hive_core::GroupManager> { loop {} }
///     fn sessions(&self) -> std::sync::Arc<dyn hive_core::SessionManager> { loop {} }
///     fn audit(&self) -> std::sync::Arc<dyn hive_core::AuditLogger> { loop {} }
///     fn identity(&self) -> std::sync::Arc<dyn hive_core::Identity> { loop {} }
/// }
/// ```
pub trait HiveApi: sealed::Sealed + Send + Sync {
    /// Returns the registry of satellites.
    fn satellites(&self) -> Arc<dyn DeviceRegistry>;
    /// Returns the commands of single satellites and of several.
    fn commands(&self) -> Arc<dyn CommandRouter>;
    /// Returns the jobs.
    fn jobs(&self) -> Arc<dyn JobManager>;
    /// Returns the groups of satellites.
    fn groups(&self) -> Arc<dyn GroupManager>;
    /// Returns the terminal sessions.
    fn sessions(&self) -> Arc<dyn SessionManager>;
    /// Returns the audit log.
    fn audit(&self) -> Arc<dyn AuditLogger>;
    /// Returns users, teams, API keys and registration tokens.
    fn identity(&self) -> Arc<dyn Identity>;
}

mod sealed {
    /// Implemented in this crate alone.
    pub trait Sealed {}
}
