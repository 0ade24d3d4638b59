//! One command this agent knows of, as the link sees it: how far it is.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use hive_wire::agent::{CommandResult, Received};
use hive_wire::{CommandId, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A command, from its delivery until the server has stored its result.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: CommandId,
    /// `exec` or `power`.
    pub(crate) kind: &'static str,
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
    /// How much output there is.
    pub(crate) produced: Received,
    /// Its end.
    pub(crate) result: Option<CommandResult>,
}

impl Job {
    pub(crate) fn new(id: CommandId, kind: &'static str, now: Timestamp, progress: Progress) -> Self {
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

/// The commands that have come further since the link last looked. It holds each command once, so it is never larger than
/// the number of jobs, and a busy command costs no more than a quiet one.
#[derive(Debug, Default)]
pub(crate) struct Board {
    marked: Mutex<BTreeSet<CommandId>>,
    news: Notify,
}

impl Board {
    /// Says that a command has come further.
    pub(crate) fn mark(&self, id: CommandId) {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.news.notify_one();
    }

    /// Waits for commands that have come further, and takes them. For one reader at a time; cancel-safe.
    pub(crate) async fn take(&self) -> BTreeSet<CommandId> {
        loop {
            let marked = std::mem::take(&mut *self.marked.lock().unwrap_or_else(PoisonError::into_inner));
            if !marked.is_empty() {
                return marked;
            }
            self.news.notified().await;
        }
    }
}
