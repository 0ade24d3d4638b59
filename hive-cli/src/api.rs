//! What the commands need of a hive. They do not know where it is.

use hive_core::{AuditLogger, CommandRouter, DeviceRegistry, Identity, JobManager, SessionManager};

/// A hive that somebody acts on.
pub(crate) trait Api:
    DeviceRegistry + CommandRouter + JobManager + AuditLogger + Identity + SessionManager
{
}

impl<T: DeviceRegistry + CommandRouter + JobManager + AuditLogger + Identity + SessionManager> Api for T {}
