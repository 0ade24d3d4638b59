#![doc = include_str!("tutorial.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub use hive_store as store;
pub use hive_wire as wire;

pub mod access;
pub mod audit;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
mod commands;
mod disk_probe;
pub mod error;
mod events;
mod exec;
mod grants;
pub mod hive;
mod housekeeping;
pub mod identity;
pub mod job;
mod jobs;
pub mod keys;
pub mod link;
mod link_handler;
mod links;
pub mod registry;
mod retry;
pub mod router;
mod satellites;
pub mod session;
mod sessions;
pub mod subscription;
pub mod vault;

pub use access::Principal;
pub use audit::AuditLogger;
#[cfg(feature = "client")]
pub use client::RemoteHive;
pub use error::{Error, Result};
pub use hive::{ActingHive, Hive, HiveBuilder};
pub use identity::Identity;
pub use job::JobManager;
pub use registry::DeviceRegistry;
pub use router::CommandRouter;
pub use session::SessionManager;
pub use subscription::Subscription;

/// A hive, here or elsewhere: everything a client may ask of it.
///
/// [`ActingHive`] and `RemoteHive` (feature `client`) implement it, and keep the same promises: a program that takes `&dyn HiveApi`
/// need not know which it has.
pub trait HiveApi: DeviceRegistry + CommandRouter + JobManager + SessionManager + AuditLogger + Identity {}

impl<T: DeviceRegistry + CommandRouter + JobManager + SessionManager + AuditLogger + Identity> HiveApi for T {}
