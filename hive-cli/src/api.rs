//! What the commands need of a hive. They do not know where it is.

use hive_core::{AuditLogger, CommandRouter, DeviceRegistry, Identity, SessionManager};

/// A hive that somebody acts on.
pub(crate) trait Api: DeviceRegistry + CommandRouter + AuditLogger + Identity + SessionManager {}

impl<T: DeviceRegistry + CommandRouter + AuditLogger + Identity + SessionManager> Api for T {}
