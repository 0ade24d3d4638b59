//! Starts of commands that are not stored yet.
//!
//! Most commands end within milliseconds, and their end stores the start as well. A start is therefore stored by itself only
//! if its command still runs after a moment. One task does that for all commands, and ends when there is none left.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use hive_wire::{CommandId, Timestamp};
use tokio::time::sleep;
use tracing::warn;

use super::Commands;
use crate::sync::lock;

/// How long a start waits at least to be stored together with its end. It waits at most twice as long.
const ROUND: Duration = Duration::from_millis(20);

/// The starts that wait.
#[derive(Default)]
pub(super) struct PendingStarts(Mutex<StartRounds>);

#[derive(Default)]
struct StartRounds {
    /// Of the round that goes on.
    current: Vec<CommandStart>,
    /// Of the round before.
    previous: Vec<CommandStart>,
    has_task: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CommandStart {
    id: CommandId,
    at: Timestamp,
}

impl PendingStarts {
    /// Notes a start. True if the caller must start the task.
    fn note(&self, start: CommandStart) -> bool {
        let mut rounds = lock(&self.0);
        rounds.current.push(start);
        !std::mem::replace(&mut rounds.has_task, true)
    }

    /// Ends a round, and returns the starts of the round before. `None` if none waits: the task ends.
    fn end_round(&self) -> Option<Vec<CommandStart>> {
        let mut rounds = lock(&self.0);
        let current = std::mem::take(&mut rounds.current);
        let due = std::mem::replace(&mut rounds.previous, current);
        rounds.has_task = !(due.is_empty() && rounds.previous.is_empty());
        rounds.has_task.then_some(due)
    }
}

impl Commands {
    /// Notes that a command has started. It is stored in the background: the result may well arrive first, and then it wins.
    pub(super) fn note_start(self: &Arc<Self>, id: CommandId) {
        if self.starts.note(CommandStart { id, at: self.context.now() }) {
            let commands = self.clone();
            self.context.spawn(async move { commands.store_starts().await });
        }
    }

    async fn store_starts(&self) {
        loop {
            sleep(ROUND).await;
            let Some(due) = self.starts.end_round() else { return };
            let running = due.into_iter().filter(|start| self.in_flight.is_in_flight(start.id));
            // All at once: the store takes them in one statement.
            join_all(running.map(|start| self.store_start(start))).await;
        }
    }

    async fn store_start(&self, CommandStart { id, at }: CommandStart) {
        if let Err(error) = self.store.command_start(id, at).await {
            warn!(command.id = %id, error = %error, "the start of a command was not stored");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    #[test]
    fn a_start_waits_for_a_whole_round_and_the_task_ends_with_the_last() {
        let start = |number| CommandStart {
            id: CommandId::new(Seed { unix_millis: 1, random: [number; 10] }),
            at: Timestamp::from_micros(number.into()),
        };
        let starts = PendingStarts::default();
        assert!(starts.note(start(1)), "the first one starts the task");
        assert!(!starts.note(start(2)));
        assert_eq!(starts.end_round(), Some(vec![]), "they may be as young as a moment");
        assert!(!starts.note(start(3)));
        assert_eq!(starts.end_round(), Some(vec![start(1), start(2)]));
        assert_eq!(starts.end_round(), Some(vec![start(3)]));
        assert_eq!(starts.end_round(), None);
        assert!(starts.note(start(4)), "there is no task any more");
    }
}
