//! When a registered satellite becomes active.

use hive_wire::api::{AuditResult, SatelliteStatus};
use serde_json::json;

use super::Satellites;
use crate::Result;
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, draft, satellite_actor};
use crate::settings::Activation;
use crate::store::SatelliteRow;

impl Satellites {
    /// Activates an inactive satellite where a heartbeat is enough for that. Returns whether this call did it.
    pub(super) async fn activate(&self, row: &SatelliteRow) -> Result<bool> {
        let is_automatic = self.context.settings().activation == Activation::Heartbeat;
        if row.status != SatelliteStatus::Inactive || !is_automatic {
            return Ok(false);
        }
        let id = row.id;
        let subject = Subject::satellite(row);
        let details = json!({ "by": "heartbeat" });
        let actor = satellite_actor(id);
        let record =
            draft(&self.context, actor, AuditAction::SatelliteActivate, subject, details, AuditResult::Success);
        // The status that was read may be old: the store decides again, so that one call of many activates.
        Ok(self.store.satellite_activate(id, self.context.now(), record).await?)
    }
}
