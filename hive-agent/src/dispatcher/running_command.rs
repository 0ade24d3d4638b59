//! A command that this agent has accepted, and its progress.

use std::sync::{Mutex, PoisonError};

use hive_wire::agent::{CommandResult, Received};
use hive_wire::api::CommandType;
use hive_wire::{CommandId, Timestamp};
use tokio_util::sync::CancellationToken;

/// A command from its delivery until the server has stored its result.
#[derive(Debug)]
pub(crate) struct RunningCommand {
    pub(crate) id: CommandId,
    /// The kind of its payload.
    pub(crate) kind: CommandType,
    pub(crate) delivered_at: Timestamp,
    /// Cancels the command.
    pub(crate) cancel: CancellationToken,
    progress: Mutex<ExecutionProgress>,
}

/// The progress of a command.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ExecutionProgress {
    /// The record of its start is on disk.
    pub(crate) is_started: bool,
    /// The number of records in the journal at that time, if this process wrote it.
    pub(crate) journal_position: Option<u64>,
    /// Bytes of output so far.
    pub(crate) produced: Received,
    /// The result, once it has ended.
    pub(crate) result: Option<CommandResult>,
}

impl RunningCommand {
    pub(crate) fn new(id: CommandId, kind: CommandType, now: Timestamp, progress: ExecutionProgress) -> Self {
        Self { id, kind, delivered_at: now, cancel: CancellationToken::new(), progress: Mutex::new(progress) }
    }

    pub(crate) fn progress(&self) -> ExecutionProgress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).result.is_some()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut ExecutionProgress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
