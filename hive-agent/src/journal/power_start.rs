//! Whether a power command has worked: the machine was rebooted since.

use hive_wire::api::PowerAction;
use serde::{Deserialize, Serialize};

/// A power command and the boot in which it was started. A change of the boot id proves that it has worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PowerStart {
    pub(crate) action: PowerAction,
    pub(crate) boot_id: Option<String>,
}

impl PowerStart {
    /// Whether the machine was rebooted since.
    pub(super) fn has_happened(&self, boot_id: Option<&str>) -> bool {
        // Sleep and hibernate keep the boot id, so it proves nothing for them.
        let ends_the_boot = matches!(self.action, PowerAction::Shutdown | PowerAction::Reboot);
        ends_the_boot && self.boot_id.as_deref().zip(boot_id).is_some_and(|(then, now)| then != now)
    }
}
