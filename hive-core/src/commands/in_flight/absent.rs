//! Waiting for a command that is not in flight: after a restart its satellite may not have reconnected yet, and another server may
//! have the satellite's link.
//!
//! Whoever waits is woken when the command becomes in flight here, or has ended. A command that ends in another process is noticed by
//! one check for all who wait (`Commands::check_absent`), and not by each of them.

use std::collections::HashMap;

use hive_wire::CommandId;
use tokio::sync::watch;

use super::{CommandProgress, InFlightCommands};

/// A command, as somebody finds it who waits for its end.
pub(crate) enum WatchedCommand<'a> {
    /// A satellite works on it.
    InFlight(watch::Receiver<CommandProgress>),
    /// It is not in flight here. It may have ended.
    Absent(AbsentCommand<'a>),
}

/// Waits for a command that is not in flight.
pub(crate) struct AbsentCommand<'a> {
    commands: &'a InFlightCommands,
    id: CommandId,
    /// `None` while this is dropped.
    has_ended: Option<watch::Receiver<bool>>,
}

impl AbsentCommand<'_> {
    /// Waits until the command is in flight, or has ended. True if it is known to have ended.
    pub(crate) async fn changed(&mut self) -> bool {
        let Some(has_ended) = &mut self.has_ended else { return false };
        // It fails only without a sender, which the map keeps for as long as this waits.
        has_ended.changed().await.ok();
        *has_ended.borrow_and_update()
    }
}

impl Drop for AbsentCommand<'_> {
    fn drop(&mut self) {
        let mut shard = self.commands.shard(self.id);
        // Under the lock: of two that are dropped at the same time, the second one must see that it is the last.
        self.has_ended = None;
        shard.absent.remove_unused(self.id);
    }
}

/// Those who wait, by command. There is an entry for as long as somebody waits.
#[derive(Default)]
pub(super) struct AbsentCommands(HashMap<CommandId, watch::Sender<bool>>);

impl AbsentCommands {
    fn subscribe(&mut self, id: CommandId) -> watch::Receiver<bool> {
        self.0.entry(id).or_default().subscribe()
    }

    /// Wakes those who wait for a command.
    pub(super) fn wake(&self, id: CommandId, has_ended: bool) {
        if let Some(waiting) = self.0.get(&id) {
            waiting.send_replace(has_ended);
        }
    }

    /// Removes the entry of a command if nobody waits for it.
    fn remove_unused(&mut self, id: CommandId) {
        if self.0.get(&id).is_some_and(|waiting| waiting.receiver_count() == 0) {
            self.0.remove(&id);
        }
    }
}

impl InFlightCommands {
    /// Follows a command, or waits for it where it is not in flight.
    pub(crate) fn watch(&self, id: CommandId) -> WatchedCommand<'_> {
        let mut shard = self.shard(id);
        if let Some(command) = shard.commands.get(&id) {
            return WatchedCommand::InFlight(command.progress.subscribe());
        }
        // Under the same lock as the lookup, so that a command that becomes in flight now wakes this.
        let has_ended = Some(shard.absent.subscribe(id));
        WatchedCommand::Absent(AbsentCommand { commands: self, id, has_ended })
    }

    /// Returns the commands for which somebody waits, and that are not in flight.
    pub(crate) fn absent(&self) -> Vec<CommandId> {
        let mut ids = Vec::new();
        for shard in &self.shards {
            ids.extend(crate::sync::lock(shard).absent.0.keys().copied());
        }
        ids
    }

    /// Wakes those who wait for a command that has ended in the store.
    pub(crate) fn note_absent_ended(&self, id: CommandId) {
        self.shard(id).absent.wake(id, true);
    }
}
