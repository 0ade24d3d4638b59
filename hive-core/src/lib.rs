//! One control plane for people, programs and AI agents over a fleet of machines, as a library.
//!
//! A [`Hive`] owns the fleet. Nobody acts on it but as somebody: [`Hive::acting_as`] gives an [`ActingHive`], which
//! implements the service traits, checks permission once and writes the audit record with the change.
//!
//! In the order of data flow:
//!
//! - [`wire`] is what everybody says to each other;
//! - [`access`] decides who may do what;
//! - [`registry`], [`router`], [`job`], [`session`], [`audit`] and [`identity`] are the services, and [`HiveApi`] all of them;
//! - [`hive`] implements them in this process, `client` (feature `client`) by calling a hive elsewhere;
//! - [`link`] is how a hive reaches one satellite;
//! - [`store`] is where it keeps what must last, [`vault`] how it seals what must stay secret.
//!
//! The library serves no HTTP, reads no environment and prints nothing.
//!
//! # A hive in another program
//!
//! ```
//! use hive_core::wire::api::{ExecCommand, PageRequest, RegistrationTokenCreate, SatelliteFilter, TokenScope};
//! use hive_core::{CommandRouter, DeviceRegistry, Hive, Identity, router::ExecOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> hive_core::Result<()> {
//! let hive = Hive::builder().in_memory().build().await?;
//! let me = hive.as_system();
//!
//! // A satellite registers with a token and dials in over whatever link you serve.
//! let wanted = RegistrationTokenCreate { scope: TokenScope::Global, team_id: None, expires_in_hours: None, description: None };
//! let token = me.registration_token_create(wanted).await?.token;
//! assert!(token.starts_with("hive_satellite_global_"));
//!
//! for satellite in me.list(SatelliteFilter::default(), PageRequest::default()).await?.items {
//!     let result = me.exec(satellite.id, ExecCommand::shell("uptime"), ExecOptions::default()).await?;
//!     assert_eq!(result.exit_code, Some(0));
//! }
//! hive.shutdown().await;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub use hive_wire as wire;

pub mod access;
pub mod audit;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
pub mod error;
pub mod hive;
pub mod identity;
pub mod job;
pub mod keys;
pub mod link;
pub mod provisioning;
pub mod registry;
pub mod router;
pub mod session;
pub mod store;
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
pub use provisioning::ProvisioningService;
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
