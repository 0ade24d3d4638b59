//! What the journal records of a command.

use std::io;

use hive_wire::agent::CommandResult;
use hive_wire::{CommandId, Timestamp};
use serde::{Deserialize, Serialize};

use super::format;
use super::power_start::PowerStart;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum JournalRecord {
    /// The command is about to start.
    Started {
        id: CommandId,
        expires_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        power: Option<PowerStart>,
    },
    /// The command has ended.
    Finished { at: Timestamp, result: CommandResult },
    /// The server has stored the result.
    Acknowledged { id: CommandId, expires_at: Timestamp },
    /// A line of a later version.
    // Read as a record, so that an older agent does not take the journal for damaged.
    #[serde(other)]
    Unknown,
}

impl JournalRecord {
    pub(super) fn to_line(&self) -> io::Result<Vec<u8>> {
        format::line(self)
    }
}
