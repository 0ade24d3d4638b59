//! One command this agent knows of, as the link sees it: how far it is.

use std::sync::{Mutex, PoisonError};

use hive_wire::agent::{CommandResult, Received};
use hive_wire::api::CommandType;
use hive_wire::{CommandId, Timestamp};
use tokio_util::sync::CancellationToken;

/// A command, from its delivery until the server has stored its result.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: CommandId,
    /// What kind of thing it does.
    pub(crate) kind: CommandType,
    pub(crate) delivered_at: Timestamp,
    /// Ends the command.
    pub(crate) cancel: CancellationToken,
    progress: Mutex<Progress>,
}

/// How far a command is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    /// Its start is on disk.
    pub(crate) is_started: bool,
    /// How many records the journal had then, where this process has written it.
    pub(crate) journal_position: Option<u64>,
    /// How much output there is.
    pub(crate) produced: Received,
    /// Its end.
    pub(crate) result: Option<CommandResult>,
}

impl Job {
    pub(crate) fn new(id: CommandId, kind: CommandType, now: Timestamp, progress: Progress) -> Self {
        Self { id, kind, delivered_at: now, cancel: CancellationToken::new(), progress: Mutex::new(progress) }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).result.is_some()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
