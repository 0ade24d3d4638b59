//! What happens by itself: jobs go on, signs of life are written behind, overdue commands are ended, failed authentications
//! are summed up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hive_wire::agent::ErrorBody;
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, ErrorCode, SatelliteId, Timestamp};
use tokio::time::MissedTickBehavior;
use tracing::warn;

use crate::Result;
use crate::commands::dispatch::ended;
use crate::commands::in_flight::Context;
use crate::hive::Hive;
use crate::store::{CommandRow, Seen};

/// Overdue commands that are ended at one go.
const AT_ONCE: u32 = 500;

/// Signs of life that are written at one go: commands wait in between, and no longer.
const SEEN_AT_ONCE: usize = 250;

/// Signs of life that are not written yet, the latest of each satellite.
#[derive(Default)]
pub(crate) struct SeenBuffer(Mutex<Signs>);

#[derive(Default)]
struct Signs {
    latest: HashMap<SatelliteId, Seen>,
    /// On their way to the store.
    writing: HashMap<SatelliteId, Seen>,
}

impl Signs {
    fn note(&mut self, seen: Seen) {
        let seen = match self.latest.remove(&seen.id) {
            Some(before) => merged(before, seen),
            None => seen,
        };
        self.latest.insert(seen.id, seen);
    }
}

impl SeenBuffer {
    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }

    fn note(&self, seen: Seen) {
        self.signs().note(seen);
    }

    /// Returns what is not in the store yet.
    pub(crate) fn get(&self, id: SatelliteId) -> Option<Seen> {
        let signs = self.signs();
        match (signs.writing.get(&id).cloned(), signs.latest.get(&id).cloned()) {
            (Some(writing), Some(latest)) => Some(merged(writing, latest)),
            (writing, latest) => latest.or(writing),
        }
    }

    /// Takes all, to be written.
    fn take(&self) -> Vec<Seen> {
        let mut signs = self.signs();
        signs.writing = std::mem::take(&mut signs.latest);
        signs.writing.values().cloned().collect()
    }

    /// Takes note that all that were taken are written, but for these: they come again, behind what was noted meanwhile.
    fn written_without(&self, rest: Vec<Seen>) {
        let mut signs = self.signs();
        signs.writing.clear();
        let newer = std::mem::take(&mut signs.latest);
        rest.into_iter().chain(newer.into_values()).for_each(|seen| signs.note(seen));
    }
}

fn merged(before: Seen, seen: Seen) -> Seen {
    Seen { system: seen.system.or(before.system), agent_version: seen.agent_version.or(before.agent_version), ..seen }
}

/// How often what is too old is deleted.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_hours(1);
/// How long the keys are known that were replaced.
const SUPERSEDED_FOR: Duration = Duration::from_hours(90 * 24);

/// When what is too old was deleted last.
#[derive(Default)]
pub(crate) struct Housekeeping(Mutex<Option<Timestamp>>);

impl Housekeeping {
    /// Whether it is time again; then it counts as done.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut last = self.0.lock().expect("nothing panics while it holds this lock");
        let is_due = last.is_none_or(|last| now.since(last) >= HOUSEKEEPING_INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// Starts what happens by itself; it ends with the hive, or when nobody holds the hive any more.
pub(crate) fn start(hive: &Hive) {
    let inner = Arc::downgrade(&hive.inner);
    let shutdown = hive.inner.shutdown.clone();
    let mut ticks = tokio::time::interval(hive.settings().sweep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    hive.inner.tasks.spawn(async move {
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                () = shutdown.cancelled() => true,
            };
            let Some(inner) = inner.upgrade() else { return };
            let hive = Hive { inner };
            hive.summarise_auth_failures();
            hive.log_unexpected_left_out();
            if let Err(error) = hive.sweep().await {
                warn!(error = %error, "sweep failed, the next one tries again");
            }
            if is_last {
                hive.write_last_summaries().await;
                return;
            }
        }
    });
}

impl Hive {
    /// Notes a sign of life, to be written with the next sweep.
    pub(crate) fn note_seen(&self, seen: Seen) {
        self.inner.seen.note(seen);
    }

    async fn sweep(&self) -> Result<()> {
        self.resume_jobs().await?;
        self.end_overdue().await?;
        if self.inner.open.take_stale() {
            self.count_open().await?;
        }
        self.end_lost_sessions().await?;
        self.recheck(None).await;
        let seen = self.inner.seen.take();
        for (written, some) in seen.chunks(SEEN_AT_ONCE).enumerate() {
            let rest = || self.inner.seen.written_without(seen[written * SEEN_AT_ONCE..].to_vec());
            self.store().satellite_seen(some.to_vec()).await.inspect_err(|_| rest())?;
        }
        self.inner.seen.written_without(Vec::new());
        let positions = self.inner.positions.take_unwritten();
        for (written, some) in positions.chunks(SEEN_AT_ONCE).enumerate() {
            let rest = || self.inner.positions.put_back(&positions[written * SEEN_AT_ONCE..]);
            self.store().satellite_journal_advance(some.to_vec()).await.inspect_err(|_| rest())?;
        }
        self.keep_house().await?;
        match &self.inner.high_water {
            Some(mark) => mark.advance(self.store()).await,
            None => Ok(()),
        }
    }

    /// Counts the open commands anew.
    pub(crate) async fn count_open(&self) -> Result<()> {
        let counted = self.store().command_count_open().await.inspect_err(|_| self.inner.open.mark_stale())?;
        self.inner.open.replace(counted);
        Ok(())
    }

    /// Deletes what is too old to be of use.
    async fn keep_house(&self) -> Result<()> {
        if self.inner.housekeeping.is_due(self.source().steady()) {
            let oldest = self.source().now().minus(SUPERSEDED_FOR);
            self.store().satellite_superseded_keys_prune(oldest).await?;
        }
        Ok(())
    }

    async fn end_overdue(&self) -> Result<()> {
        let (now, grace) = (self.source().steady(), self.settings().lost_grace);
        for row in self.store().command_list_overdue(now, grace, AT_ONCE).await? {
            if row.status == CommandStatus::Queued {
                // One that was handed over at the last moment is not overdue.
                self.end_without_satellite(&row, CommandStatus::Expired).await?;
            } else if self.expected_until(row.id, row.timeout_seconds) <= now {
                self.end_lost(&row).await?;
            }
        }
        Ok(())
    }

    /// Until when the satellite of a command that was handed over may still say how it ended. After a start of the hive
    /// each has the grace to come back.
    pub(crate) fn expected_until(&self, id: CommandId, timeout_seconds: u32) -> Timestamp {
        let (timeout, grace) = (Duration::from_secs(timeout_seconds.into()), self.settings().lost_grace);
        let sent_from_here = self.inner.running.expected_until(id, timeout, grace);
        sent_from_here.unwrap_or_else(|| self.inner.started_at.plus(grace))
    }

    /// Ends a command of which nothing was heard for too long.
    async fn end_lost(&self, row: &CommandRow) -> Result<()> {
        let grace = self.settings().lost_grace.as_secs();
        let message = format!("nothing was heard of it until {grace} s after its timeout");
        let reason = ErrorBody { code: ErrorCode::CommandTimeout, message };
        let outcome = ended(CommandStatus::OutcomeUnknown, self.source().now(), Some(reason));
        self.finish(row.id, &Context::from(row), outcome).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::agent::SystemInfo;
    use hive_wire::id::Seed;

    fn seen(second: i64, version: Option<&str>) -> Seen {
        Seen {
            id: SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] }),
            at: Timestamp::from_micros(second * 1_000_000),
            system: version.map(|_| SystemInfo::default()),
            agent_version: version.map(Into::into),
        }
    }

    #[test]
    fn a_sign_of_life_is_known_until_it_is_written() {
        let buffer = SeenBuffer::default();
        let check = |second: Option<i64>, version: Option<&str>| {
            let found = buffer.get(seen(0, None).id);
            assert_eq!(found.as_ref().map(|seen| seen.at), second.map(|second| seen(second, None).at));
            assert_eq!(found.and_then(|seen| seen.agent_version).as_deref(), version);
        };
        buffer.note(seen(1, Some("1.0")));
        buffer.note(seen(2, None));
        check(Some(2), Some("1.0"));
        let taken = buffer.take();
        check(Some(2), Some("1.0"));
        buffer.note(seen(3, None));
        check(Some(3), Some("1.0"));
        buffer.written_without(taken);
        check(Some(3), Some("1.0"));
        assert_eq!(buffer.take().len(), 1);
        buffer.written_without(Vec::new());
        check(None, None);
    }
}
