//! The commands that were started and how they ended, in memory, and the decision about a delivered command. No I/O, no
//! clock.

use std::collections::BTreeMap;
use std::time::Duration;

use hive_wire::agent::CommandResult;
use hive_wire::agent::Received;
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, Timestamp};

use super::{JournalRecord, PowerStart};

/// How long past its expiry an acknowledged command is kept, because a late copy of it may still be in transit.
const ACKNOWLEDGED_RETENTION: Duration = Duration::from_mins(10);
/// How long past its expiry a result is kept that the server never acknowledged, if the server has forgotten the
/// command.
const RESULT_RETENTION: Duration = Duration::from_hours(7 * 24);

/// What happens with a delivered command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DeliveryDecision {
    /// It is new.
    Run,
    /// It runs in this process.
    Reattach,
    /// It has ended with this result.
    Answer(CommandResult),
    /// It was started, and its end is not known.
    Unknown,
    /// It is too late to start it.
    Expired,
}

#[derive(Debug, Clone, PartialEq)]
enum EntryState {
    /// Started by this process.
    Running(Option<PowerStart>),
    /// Started by an earlier process.
    Interrupted(Option<PowerStart>),
    Finished(Box<CommandResult>),
    Acknowledged,
}

#[derive(Debug, Clone, PartialEq)]
struct LedgerEntry {
    expires_at: Timestamp,
    state: EntryState,
}

/// Every command about which a decision may still be needed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CommandLedger {
    entries: BTreeMap<CommandId, LedgerEntry>,
}

impl CommandLedger {
    /// The ledger after the process that wrote `records` has ended.
    pub(crate) fn of_earlier_process(records: &[JournalRecord]) -> Self {
        let mut ledger = Self::default();
        for record in records {
            ledger.apply(record);
        }
        for entry in ledger.entries.values_mut() {
            if let EntryState::Running(power) = &entry.state {
                entry.state = EntryState::Interrupted(power.clone());
            }
        }
        ledger
    }

    /// Applies a record. Applying it again changes nothing.
    pub(crate) fn apply(&mut self, record: &JournalRecord) {
        match record {
            JournalRecord::Started { id, expires_at, power } => {
                // A start that is read twice must not undo the end of the command.
                self.entries.entry(*id).or_insert_with(|| LedgerEntry {
                    expires_at: *expires_at,
                    state: EntryState::Running(power.clone()),
                });
            }
            JournalRecord::Finished { at: _, result } => {
                if let Some(entry) = self.entries.get_mut(&result.id)
                    // The first end wins: a result that was reported must not change.
                    && matches!(entry.state, EntryState::Running(_) | EntryState::Interrupted(_))
                {
                    entry.state = EntryState::Finished(Box::new(result.clone()));
                }
            }
            JournalRecord::Acknowledged { id, expires_at } => {
                let state = EntryState::Acknowledged;
                self.entries.insert(*id, LedgerEntry { expires_at: *expires_at, state });
            }
            JournalRecord::Unknown => {}
        }
    }

    /// Decides about a delivered command.
    pub(crate) fn decide(&self, id: CommandId, expires_in_ms: u64, boot_id: Option<&str>) -> DeliveryDecision {
        match self.entries.get(&id).map(|entry| &entry.state) {
            None if expires_in_ms == 0 => DeliveryDecision::Expired,
            None => DeliveryDecision::Run,
            Some(EntryState::Running(_)) => DeliveryDecision::Reattach,
            Some(EntryState::Finished(result)) => DeliveryDecision::Answer((**result).clone()),
            // A reboot ends the agent before it can record the end of the command that caused it.
            Some(EntryState::Interrupted(Some(power))) if power.has_happened(boot_id) => {
                DeliveryDecision::Answer(bare_result(id, CommandStatus::Succeeded))
            }
            // An acknowledged command has ended and the server has stored its result. If it is delivered again, the
            // server has lost it.
            Some(EntryState::Interrupted(_) | EntryState::Acknowledged) => DeliveryDecision::Unknown,
        }
    }

    /// Processes that an earlier agent started and whose end it did not see. Power commands are not included.
    pub(crate) fn interrupted(&self) -> Vec<CommandId> {
        let is_program = |entry: &LedgerEntry| entry.state == EntryState::Interrupted(None);
        self.entries.iter().filter(|(_, entry)| is_program(entry)).map(|(id, _)| *id).collect()
    }

    /// The record that says that the server has stored the command's result.
    pub(crate) fn acknowledgement(&self, id: CommandId) -> Option<JournalRecord> {
        let entry = self.entries.get(&id)?;
        let is_unrecorded = !matches!(entry.state, EntryState::Running(_) | EntryState::Acknowledged);
        is_unrecorded.then_some(JournalRecord::Acknowledged { id, expires_at: entry.expires_at })
    }

    /// Whether the command's output may still be needed.
    pub(crate) fn needs_output(&self, id: CommandId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.state != EntryState::Acknowledged)
    }

    /// Drops commands that cannot be delivered again.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| match entry.state {
            // However long ago it was started: its end is still to be recorded.
            EntryState::Running(_) => true,
            EntryState::Interrupted(_) | EntryState::Finished(_) => now < entry.expires_at.plus(RESULT_RETENTION),
            EntryState::Acknowledged => now < entry.expires_at.plus(ACKNOWLEDGED_RETENTION),
        });
    }

    /// The smallest list of records with the same content.
    pub(crate) fn records(&self, now: Timestamp) -> Vec<JournalRecord> {
        let mut records = Vec::new();
        for (&id, entry) in &self.entries {
            let expires_at = entry.expires_at;
            let started = |power: Option<PowerStart>| JournalRecord::Started { id, expires_at, power };
            match &entry.state {
                EntryState::Running(power) | EntryState::Interrupted(power) => records.push(started(power.clone())),
                EntryState::Finished(result) => {
                    records.push(started(None));
                    records.push(JournalRecord::Finished { at: now, result: (**result).clone() });
                }
                EntryState::Acknowledged => records.push(JournalRecord::Acknowledged { id, expires_at }),
            }
        }
        records
    }

    /// The same as lines of the file.
    pub(crate) fn to_lines(&self, now: Timestamp) -> std::io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for record in self.records(now) {
            lines.extend(record.to_line()?);
        }
        Ok(lines)
    }
}

/// A result with nothing but a status.
pub(crate) fn bare_result(id: CommandId, status: CommandStatus) -> CommandResult {
    CommandResult {
        id,
        status,
        exit_code: None,
        duration_ms: 0,
        sent: Received::default(),
        truncated: false,
        error: None,
    }
}

#[cfg(test)]
mod tests;
