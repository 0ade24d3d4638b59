//! Commands that satellites work on now: output that is not stored yet, and who waits.
//!
//! Output is held up to one piece per stream and then stored, so that a big one lives on disk. Whoever follows a command
//! keeps an offset of their own: a slow one holds nothing up and misses nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hive_wire::agent::{Channel, MAX_OUTPUT, Received};
use hive_wire::api::{Actor, CommandType};
use hive_wire::{CommandId, JobId, SatelliteId, SatelliteName, TeamId, Timestamp};
use tokio::sync::watch;

use crate::store::{CommandOutcome, CommandRow};

/// Output of one stream that is held in memory before it is stored.
const PIECE: usize = 64 * 1024;
/// The last output of a command that is kept for those who follow it; more of it they read from the store. A thousand
/// that are not asked for must cost little.
const KEPT: usize = 8 * 1024;

/// What a running command's records and answers need to know.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) satellite: SatelliteId,
    pub(crate) team: Option<TeamId>,
    pub(crate) job: Option<JobId>,
    pub(crate) command_type: CommandType,
    pub(crate) actor: Actor,
}

impl From<&CommandRow> for Context {
    fn from(row: &CommandRow) -> Self {
        Self {
            satellite: row.satellite_id,
            team: row.team_id,
            job: row.job_id,
            command_type: row.command_type.clone(),
            actor: row.actor.clone(),
        }
    }
}

/// How far a command is, for those who follow it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Output that is here, stored or held.
    pub(crate) received: Received,
    /// How it ended.
    pub(crate) finished: Option<Arc<Finished>>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// None where it was ended without a word from here: the store knows.
    pub(crate) outcome: Option<CommandOutcome>,
}

/// Where a command runs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) satellite: SatelliteId,
    pub(crate) name: SatelliteName,
}

struct Entry {
    context: Context,
    stdout: Held,
    stderr: Held,
    is_cancelled: bool,
    contact: Contact,
    progress: watch::Sender<Progress>,
}

/// When a satellite was given a command, and when it last said something of it.
#[derive(Debug, Clone, Copy, Default)]
struct Contact {
    sent: Option<Timestamp>,
    heard: Option<Timestamp>,
}

impl Contact {
    /// Until when the satellite may still say how the command ended; `None` where it was not sent from here. A long
    /// output may come for as long as it takes, and a command that is sent again may begin only then.
    fn expected_until(self, timeout: Duration, grace: Duration) -> Option<Timestamp> {
        let run = self.sent?.plus(timeout);
        Some(self.heard.map_or(run, |heard| run.max(heard)).plus(grace))
    }
}

/// The end of one output: everything before `offset` is stored.
#[derive(Default)]
struct Held {
    offset: u64,
    bytes: BytesMut,
}

impl Held {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Adds what is new of a piece that begins at or before the end.
    fn add(&mut self, offset: u64, bytes: &Bytes) {
        let known = self.end().saturating_sub(offset).min(bytes.len() as u64);
        self.bytes.extend_from_slice(&bytes[known as usize..]);
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= PIECE
    }
}

/// A command that was ended by a change of its satellite, with what those who follow it are still to be told.
pub(crate) struct Revoked {
    pub(crate) id: CommandId,
    /// Output that is not stored yet.
    pub(crate) held: Vec<(Channel, u64, Bytes)>,
    progress: watch::Sender<Progress>,
}

impl Revoked {
    /// Tells those who follow it. How it ended they read in the store.
    pub(crate) fn finish(self) {
        self.progress.send_modify(|progress| progress.finished = Some(Arc::new(Finished { outcome: None })));
    }
}

/// Why output was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("output of a command that does not run here")]
    NotRunning,
    #[error("output leaves a gap")]
    Gap,
    #[error("output beyond the cap")]
    BeyondCap,
}

/// All commands that satellites work on now.
#[derive(Default)]
pub(crate) struct Running {
    entries: Mutex<HashMap<CommandId, Entry>>,
}

impl Running {
    /// Notes that a satellite works on a command, of whose output `stored` is stored. What is held already stays.
    pub(crate) fn begin(&self, id: CommandId, context: Context, stored: Received) {
        self.with(|entries| {
            entries.entry(id).or_insert_with(|| Entry {
                context,
                stdout: Held { offset: stored.stdout, ..Held::default() },
                stderr: Held { offset: stored.stderr, ..Held::default() },
                is_cancelled: false,
                contact: Contact::default(),
                progress: watch::Sender::new(Progress { received: stored, finished: None }),
            });
        });
    }

    /// Notes that a command is to be ended, also where it is not with its satellite yet, and follows it; `None` where no
    /// satellite works on it.
    pub(crate) fn cancel(&self, id: CommandId) -> Option<watch::Receiver<Progress>> {
        self.with(|entries| {
            let entry = entries.get_mut(&id)?;
            entry.is_cancelled = true;
            Some(entry.progress.subscribe())
        })
    }

    /// Whether a command is to be ended.
    pub(crate) fn is_cancelled(&self, id: CommandId) -> bool {
        self.with(|entries| entries.get(&id).is_some_and(|entry| entry.is_cancelled))
    }

    /// Notes that a command goes to its satellite, for the first time or again.
    pub(crate) fn sent(&self, id: CommandId, now: Timestamp) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(&id) {
                entry.contact.sent = Some(now);
            }
        });
    }

    /// Notes that a satellite has said something of a command.
    pub(crate) fn heard(&self, id: CommandId, now: Timestamp) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(&id) {
                entry.contact.heard = Some(now);
            }
        });
    }

    /// Until when the satellite of a command may still say how it ended; `None` where it was not sent from here.
    pub(crate) fn expected_until(&self, id: CommandId, timeout: Duration, grace: Duration) -> Option<Timestamp> {
        self.with(|entries| entries.get(&id)?.contact.expected_until(timeout, grace))
    }

    /// Follows a command; `None` where no satellite works on it.
    pub(crate) fn follow(&self, id: CommandId) -> Option<watch::Receiver<Progress>> {
        self.with(|entries| entries.get(&id).map(|entry| entry.progress.subscribe()))
    }

    /// Returns what a command's records need, where this satellite works on it.
    pub(crate) fn context(&self, id: CommandId, satellite: SatelliteId) -> Option<Context> {
        let context = self.with(|entries| entries.get(&id).map(|entry| entry.context.clone()))?;
        (context.satellite == satellite).then_some(context)
    }

    /// Returns how much output is here, stored or held.
    pub(crate) fn received(&self, id: CommandId) -> Option<Received> {
        self.with(|entries| entries.get(&id).map(|entry| entry.progress.borrow().received))
    }

    /// Takes output. Gives what has grown to a piece and is to be stored now; say [`stored`](Self::stored) when it is.
    pub(crate) fn add(
        &self,
        id: CommandId,
        channel: &Channel,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<Option<(u64, Bytes)>, Refused> {
        self.with(|entries| {
            let entry = entries.get_mut(&id).ok_or(Refused::NotRunning)?;
            // Output of another kind than is kept here goes nowhere, and its stream goes on.
            let Some(held) = entry.held(channel) else { return Ok(None) };
            if offset > held.end() {
                return Err(Refused::Gap);
            }
            if offset + bytes.len() as u64 > MAX_OUTPUT {
                return Err(Refused::BeyondCap);
            }
            held.add(offset, bytes);
            let full = held.is_full().then(|| (held.offset, Bytes::copy_from_slice(&held.bytes)));
            let received = Received { stdout: entry.stdout.end(), stderr: entry.stderr.end() };
            entry.progress.send_modify(|progress| progress.received = received);
            Ok(full)
        })
    }

    /// Lets go of output that is stored by now.
    pub(crate) fn stored(&self, id: CommandId, channel: &Channel, end: u64) {
        self.with(|entries| {
            if let Some(held) = entries.get_mut(&id).and_then(|entry| entry.held(channel)) {
                let len = (end.saturating_sub(held.offset) as usize).min(held.bytes.len());
                drop(held.bytes.split_to(len));
                held.offset += len as u64;
            }
        });
    }

    /// Returns held output from `from` on; `None` where it is stored, or not here.
    pub(crate) fn output(&self, id: CommandId, channel: &Channel, from: u64) -> Option<Bytes> {
        self.with(|entries| {
            let held = entries.get_mut(&id)?.held(channel)?;
            let skip = from.checked_sub(held.offset)? as usize;
            (skip < held.bytes.len()).then(|| Bytes::copy_from_slice(&held.bytes[skip..]))
        })
    }

    /// Returns all held output, to be stored with the end.
    pub(crate) fn held(&self, id: CommandId) -> Vec<(Channel, u64, Bytes)> {
        self.with(|entries| entries.get(&id).map(Entry::all_held).unwrap_or_default())
    }

    /// Forgets a command and tells those who follow it.
    pub(crate) fn end(&self, id: CommandId, mut outcome: Option<CommandOutcome>) {
        if let Some(outcome) = &mut outcome
            && outcome.output.iter().map(|(.., bytes)| bytes.len()).sum::<usize>() > KEPT
        {
            outcome.output.clear();
        }
        let entry = self.with(|entries| entries.remove(&id));
        if let Some(entry) = entry {
            entry.progress.send_modify(|progress| progress.finished = Some(Arc::new(Finished { outcome })));
        }
    }

    /// Takes out a satellite's commands that are meant. What the satellite says of them from now on finds no place.
    pub(crate) fn revoke(&self, satellite: SatelliteId, is_meant: impl Fn(&Context) -> bool) -> Vec<Revoked> {
        self.with(|entries| {
            let is_meant = |entry: &Entry| entry.context.satellite == satellite && is_meant(&entry.context);
            let revoked = entries.extract_if(|_, entry| is_meant(entry));
            revoked.map(|(id, entry)| Revoked { id, held: entry.all_held(), progress: entry.progress }).collect()
        })
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.with(|entries| entries.len())
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<CommandId, Entry>) -> T) -> T {
        work(&mut self.entries.lock().expect("nothing panics while it holds this lock"))
    }
}

impl Entry {
    fn all_held(&self) -> Vec<(Channel, u64, Bytes)> {
        let held = [(Channel::Stdout, &self.stdout), (Channel::Stderr, &self.stderr)];
        let with_bytes = held.into_iter().filter(|(_, held)| !held.bytes.is_empty());
        with_bytes.map(|(channel, held)| (channel, held.offset, Bytes::copy_from_slice(&held.bytes))).collect()
    }

    fn held(&mut self, channel: &Channel) -> Option<&mut Held> {
        match channel {
            Channel::Stdout => Some(&mut self.stdout),
            Channel::Stderr => Some(&mut self.stderr),
            Channel::Unknown(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    fn running() -> (Running, CommandId, SatelliteId) {
        let seed = Seed { unix_millis: 1, random: [1; 10] };
        let (id, satellite) = (CommandId::new(seed), SatelliteId::new(seed));
        let actor = Actor { kind: "system".into(), id: "system".into(), name: "system".into(), ip: None };
        let context = Context { satellite, team: None, job: None, command_type: CommandType::Exec, actor };
        let running = Running::default();
        running.begin(id, context, Received::default());
        (running, id, satellite)
    }

    #[test]
    fn output_that_comes_twice_is_taken_once() {
        let (running, id, _) = running();
        for (offset, bytes) in [(0, "abc"), (0, "abc"), (1, "bcde")] {
            running.add(id, &Channel::Stdout, offset, &Bytes::from_static(bytes.as_bytes())).unwrap();
        }
        assert_eq!(running.output(id, &Channel::Stdout, 0).unwrap(), "abcde");
        assert_eq!(running.add(id, &Channel::Stdout, 6, &Bytes::from_static(b"x")), Err(Refused::Gap));
    }

    #[test]
    fn a_full_piece_is_let_go_only_once_it_is_stored() {
        let (running, id, _) = running();
        let (offset, piece) = running.add(id, &Channel::Stderr, 0, &vec![7; PIECE].into()).unwrap().unwrap();
        assert_eq!((offset, piece.len()), (0, PIECE));
        assert!(running.output(id, &Channel::Stderr, 0).is_some());
        running.stored(id, &Channel::Stderr, PIECE as u64);
        assert!(running.output(id, &Channel::Stderr, 0).is_none());
        assert_eq!(running.received(id).unwrap().stderr, PIECE as u64);
    }

    #[test]
    fn a_command_is_expected_until_its_time_is_up_or_its_output_ends() {
        let (running, id, _) = running();
        let at = |seconds| Timestamp::from_micros(0).plus(Duration::from_secs(seconds));
        let until = || running.expected_until(id, Duration::from_secs(5), Duration::from_mins(1));
        assert_eq!(until(), None, "it was not sent from here");
        running.sent(id, at(100));
        running.heard(id, at(101));
        assert_eq!(until(), Some(at(165)));
        running.heard(id, at(130));
        assert_eq!(until(), Some(at(190)), "its output still comes");
        running.sent(id, at(200));
        assert_eq!(until(), Some(at(265)), "it may begin only now");
    }

    #[test]
    fn another_satellite_has_no_say() {
        let (running, id, satellite) = running();
        let other = SatelliteId::new(Seed { unix_millis: 1, random: [2; 10] });
        assert!(running.context(id, satellite).is_some());
        assert!(running.context(id, other).is_none());
    }

    #[test]
    fn output_beyond_the_cap_is_refused() {
        let (running, id, _) = running();
        let too_far = running.add(id, &Channel::Stdout, 0, &vec![0; MAX_OUTPUT as usize + 1].into());
        assert_eq!(too_far, Err(Refused::BeyondCap));
    }
}
