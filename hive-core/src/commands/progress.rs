//! What is reported of commands to those who follow the hive.

use hive_wire::CommandId;
use hive_wire::api::CommandStatus;
use hive_wire::ui::UiEvent;

use super::Commands;
use super::in_flight::CommandMeta;
use crate::events::Events;

impl Commands {
    /// Returns where it is reported, for what gives commands their turns.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Reports that a command has this status. Of one that has ended nothing else is reported: reports may come out of order.
    pub(super) fn report_status(
        &self,
        id: CommandId,
        meta: &CommandMeta,
        status: CommandStatus,
        exit_code: Option<i32>,
    ) {
        let satellite_id = meta.satellite;
        // Without its job, which may be hidden from who sees this satellite.
        let event = UiEvent::CommandUpdated { id, satellite_id, status, exit_code };
        self.events.note_command(id, satellite_id, meta.team, event);
    }
}
