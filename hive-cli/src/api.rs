//! What the commands need of a hive. They do not know where it is.

use hive_core::{AuditLogger, CommandRouter, DeviceRegistry, Identity};

/// A hive that somebody acts on.
pub(crate) trait Api: DeviceRegistry + CommandRouter + AuditLogger + Identity {}

impl<T: DeviceRegistry + CommandRouter + AuditLogger + Identity> Api for T {}
