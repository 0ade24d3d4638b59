//! Commands that satellites work on now: output that is not stored yet, and who waits for the end.
//!
//! Output is buffered up to one chunk a stream and then stored, so that a large one is on disk. Each follower of a command keeps an
//! offset of its own: a slow one delays nobody and misses nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hive_wire::agent::{Channel, MAX_OUTPUT, Received};
use hive_wire::api::{Actor, CommandType};
use hive_wire::{CommandId, JobId, SatelliteId, SatelliteName, TeamId, Timestamp};
use tokio::sync::watch;

use crate::store::{CommandOutcome, CommandRow};
use crate::sync::lock;

/// Output of one stream that is buffered before it is stored.
const CHUNK: usize = 64 * 1024;
/// The output of an ended command that is kept for its followers; more of it they read from the store. A thousand commands
/// whose output nobody asks for must not hold memory.
const MAX_RETAINED: usize = 8 * 1024;

/// What audit records and answers need to know of a command.
#[derive(Debug, Clone)]
pub(crate) struct CommandMeta {
    pub(crate) satellite: SatelliteId,
    pub(crate) team: Option<TeamId>,
    pub(crate) job: Option<JobId>,
    pub(crate) command_type: CommandType,
    pub(crate) actor: Actor,
}

impl From<&CommandRow> for CommandMeta {
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

/// How far a command is, for its followers.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommandProgress {
    /// Output that has arrived, stored or buffered.
    pub(crate) received: Received,
    /// How it ended.
    pub(crate) finished: Option<Arc<FinishedCommand>>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct FinishedCommand {
    /// None where another process ended it: the outcome is in the store.
    pub(crate) outcome: Option<CommandOutcome>,
}

/// The satellite of a command, as results name it.
#[derive(Debug, Clone)]
pub(crate) struct SatelliteRef {
    pub(crate) satellite: SatelliteId,
    pub(crate) name: SatelliteName,
}

struct InFlightCommand {
    meta: CommandMeta,
    stdout: OutputBuffer,
    stderr: OutputBuffer,
    is_cancelled: bool,
    contact: Contact,
    progress: watch::Sender<CommandProgress>,
}

/// When a command was sent to its satellite, and when the satellite last reported something of it.
#[derive(Debug, Clone, Copy, Default)]
struct Contact {
    sent: Option<Timestamp>,
    heard: Option<Timestamp>,
}

impl Contact {
    /// Returns until when the satellite may still report the end; `None` where this process did not send the command. A long
    /// output may take any time to arrive, and a command that is sent again may begin only then.
    fn expected_until(self, timeout: Duration, grace: Duration) -> Option<Timestamp> {
        let run = self.sent?.plus(timeout);
        Some(self.heard.map_or(run, |heard| run.max(heard)).plus(grace))
    }
}

/// The end of one output: everything before `offset` is stored.
#[derive(Default)]
struct OutputBuffer {
    offset: u64,
    bytes: BytesMut,
}

impl OutputBuffer {
    fn starting_at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Adds the new part of bytes that begin at or before the end.
    fn add(&mut self, offset: u64, bytes: &Bytes) {
        // After a reconnect a satellite may send again what has arrived already.
        let known = self.end().saturating_sub(offset).min(bytes.len() as u64);
        self.bytes.extend_from_slice(&bytes[known as usize..]);
    }

    /// Drops the bytes before `end`.
    fn drop_until(&mut self, end: u64) {
        let len = (end.saturating_sub(self.offset) as usize).min(self.bytes.len());
        drop(self.bytes.split_to(len));
        self.offset += len as u64;
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK
    }
}

/// A command that was ended by a change of its satellite. Its followers do not know yet.
pub(crate) struct RevokedCommand {
    pub(crate) id: CommandId,
    /// Output that is not stored yet.
    pub(crate) buffered: Vec<(Channel, u64, Bytes)>,
    progress: watch::Sender<CommandProgress>,
}

impl RevokedCommand {
    /// Reports the end to the followers. They read the outcome from the store.
    pub(crate) fn finish(self) {
        let finished = Arc::new(FinishedCommand { outcome: None });
        self.progress.send_modify(|progress| progress.finished = Some(finished));
    }
}

/// Why output was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutputError {
    #[error("output of a command that does not run here")]
    NotInFlight,
    #[error("output leaves a gap")]
    Gap,
    #[error("output beyond the cap")]
    BeyondCap,
}

/// All commands that satellites work on now.
#[derive(Default)]
pub(crate) struct InFlightCommands {
    commands: Mutex<HashMap<CommandId, InFlightCommand>>,
}

impl InFlightCommands {
    /// Adds a command, of whose output `stored` is stored. One that is there stays as it is.
    pub(crate) fn begin(&self, id: CommandId, meta: CommandMeta, stored: Received) {
        self.with(|commands| {
            commands.entry(id).or_insert_with(|| InFlightCommand {
                meta,
                stdout: OutputBuffer::starting_at(stored.stdout),
                stderr: OutputBuffer::starting_at(stored.stderr),
                is_cancelled: false,
                contact: Contact::default(),
                progress: watch::Sender::new(CommandProgress { received: stored, finished: None }),
            });
        });
    }

    /// Marks a command as cancelled, also where its satellite does not have it yet, and follows it; `None` where no satellite
    /// works on it.
    pub(crate) fn cancel(&self, id: CommandId) -> Option<watch::Receiver<CommandProgress>> {
        self.with(|commands| {
            let command = commands.get_mut(&id)?;
            command.is_cancelled = true;
            // Still under the lock, so that an end comes after the subscription and wakes it.
            Some(command.progress.subscribe())
        })
    }

    pub(crate) fn is_cancelled(&self, id: CommandId) -> bool {
        self.with(|commands| commands.get(&id).is_some_and(|command| command.is_cancelled))
    }

    /// Notes that a command is sent to its satellite, for the first time or again.
    pub(crate) fn note_sent(&self, id: CommandId, now: Timestamp) {
        self.with(|commands| {
            if let Some(command) = commands.get_mut(&id) {
                command.contact.sent = Some(now);
            }
        });
    }

    /// Notes that a satellite has reported something of a command.
    pub(crate) fn note_heard(&self, id: CommandId, now: Timestamp) {
        self.with(|commands| {
            if let Some(command) = commands.get_mut(&id) {
                command.contact.heard = Some(now);
            }
        });
    }

    /// Returns until when the satellite of a command may still report its end; `None` where this process did not send it.
    pub(crate) fn expected_until(&self, id: CommandId, timeout: Duration, grace: Duration) -> Option<Timestamp> {
        self.with(|commands| commands.get(&id)?.contact.expected_until(timeout, grace))
    }

    /// Follows a command; `None` where no satellite works on it.
    pub(crate) fn follow(&self, id: CommandId) -> Option<watch::Receiver<CommandProgress>> {
        self.with(|commands| commands.get(&id).map(|command| command.progress.subscribe()))
    }

    /// Returns what is known of a command, where this satellite works on it.
    pub(crate) fn meta(&self, id: CommandId, satellite: SatelliteId) -> Option<CommandMeta> {
        let meta = self.with(|commands| commands.get(&id).map(|command| command.meta.clone()))?;
        (meta.satellite == satellite).then_some(meta)
    }

    /// Returns how much output has arrived, stored or buffered.
    pub(crate) fn received(&self, id: CommandId) -> Option<Received> {
        self.with(|commands| commands.get(&id).map(|command| command.progress.borrow().received))
    }

    /// Accepts output. Returns the buffer once it has grown to a chunk: store it, and report that by
    /// [`note_stored`](Self::note_stored).
    pub(crate) fn add_output(
        &self,
        id: CommandId,
        channel: &Channel,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<Option<(u64, Bytes)>, OutputError> {
        self.with(|commands| {
            let command = commands.get_mut(&id).ok_or(OutputError::NotInFlight)?;
            // Output of a channel of a newer version is dropped, and its stream goes on.
            let Some(buffer) = command.buffer(channel) else { return Ok(None) };
            if offset > buffer.end() {
                return Err(OutputError::Gap);
            }
            if offset + bytes.len() as u64 > MAX_OUTPUT {
                return Err(OutputError::BeyondCap);
            }
            buffer.add(offset, bytes);
            // A copy: until the store has the chunk, readers find it here.
            let full = buffer.is_full().then(|| (buffer.offset, Bytes::copy_from_slice(&buffer.bytes)));
            let received = Received { stdout: command.stdout.end(), stderr: command.stderr.end() };
            command.progress.send_modify(|progress| progress.received = received);
            Ok(full)
        })
    }

    /// Drops buffered output that is stored by now.
    pub(crate) fn note_stored(&self, id: CommandId, channel: &Channel, end: u64) {
        self.with(|commands| {
            if let Some(buffer) = commands.get_mut(&id).and_then(|command| command.buffer(channel)) {
                buffer.drop_until(end);
            }
        });
    }

    /// Returns buffered output from `from` on; `None` where it is stored, or not here.
    pub(crate) fn output(&self, id: CommandId, channel: &Channel, from: u64) -> Option<Bytes> {
        self.with(|commands| {
            let buffer = commands.get_mut(&id)?.buffer(channel)?;
            // What is before the buffer is in the store.
            let skip = from.checked_sub(buffer.offset)? as usize;
            (skip < buffer.bytes.len()).then(|| Bytes::copy_from_slice(&buffer.bytes[skip..]))
        })
    }

    /// Returns all buffered output, to be stored with the end.
    pub(crate) fn buffered(&self, id: CommandId) -> Vec<(Channel, u64, Bytes)> {
        self.with(|commands| commands.get(&id).map(InFlightCommand::buffered).unwrap_or_default())
    }

    /// Removes a command and reports the end to its followers.
    pub(crate) fn end(&self, id: CommandId, mut outcome: Option<CommandOutcome>) {
        if let Some(outcome) = &mut outcome
            && outcome.output.iter().map(|(.., bytes)| bytes.len()).sum::<usize>() > MAX_RETAINED
        {
            outcome.output.clear();
        }
        // Removed before the followers are woken: whoever looks for it from then on finds the end in the store.
        let command = self.with(|commands| commands.remove(&id));
        if let Some(command) = command {
            let finished = Arc::new(FinishedCommand { outcome });
            command.progress.send_modify(|progress| progress.finished = Some(finished));
        }
    }

    /// Removes those of a satellite's commands that match. What the satellite reports of them from now on is not accepted.
    pub(crate) fn revoke(
        &self,
        satellite: SatelliteId,
        is_matching: impl Fn(&CommandMeta) -> bool,
    ) -> Vec<RevokedCommand> {
        self.with(|commands| {
            let is_revoked =
                |command: &InFlightCommand| command.meta.satellite == satellite && is_matching(&command.meta);
            let revoked = commands.extract_if(|_, command| is_revoked(command));
            revoked
                .map(|(id, command)| RevokedCommand { id, buffered: command.buffered(), progress: command.progress })
                .collect()
        })
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.with(|commands| commands.len())
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<CommandId, InFlightCommand>) -> T) -> T {
        // `work` is not async, so that the lock is never held while something is awaited.
        work(&mut lock(&self.commands))
    }
}

impl InFlightCommand {
    fn buffered(&self) -> Vec<(Channel, u64, Bytes)> {
        let buffers = [(Channel::Stdout, &self.stdout), (Channel::Stderr, &self.stderr)];
        let with_bytes = buffers.into_iter().filter(|(_, buffer)| !buffer.bytes.is_empty());
        with_bytes.map(|(channel, buffer)| (channel, buffer.offset, Bytes::copy_from_slice(&buffer.bytes))).collect()
    }

    fn buffer(&mut self, channel: &Channel) -> Option<&mut OutputBuffer> {
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

    fn one_command() -> (InFlightCommands, CommandId, SatelliteId) {
        let seed = Seed { unix_millis: 1, random: [1; 10] };
        let (id, satellite) = (CommandId::new(seed), SatelliteId::new(seed));
        let actor = Actor { kind: "system".into(), id: "system".into(), name: "system".into(), ip: None };
        let meta = CommandMeta { satellite, team: None, job: None, command_type: CommandType::Exec, actor };
        let commands = InFlightCommands::default();
        commands.begin(id, meta, Received::default());
        (commands, id, satellite)
    }

    #[test]
    fn output_that_comes_twice_is_taken_once() {
        let (commands, id, _) = one_command();
        for (offset, bytes) in [(0, "abc"), (0, "abc"), (1, "bcde")] {
            commands.add_output(id, &Channel::Stdout, offset, &Bytes::from_static(bytes.as_bytes())).unwrap();
        }
        assert_eq!(commands.output(id, &Channel::Stdout, 0).unwrap(), "abcde");
        assert_eq!(commands.add_output(id, &Channel::Stdout, 6, &Bytes::from_static(b"x")), Err(OutputError::Gap));
    }

    #[test]
    fn a_full_chunk_is_dropped_only_once_it_is_stored() {
        let (commands, id, _) = one_command();
        let (offset, chunk) = commands.add_output(id, &Channel::Stderr, 0, &vec![7; CHUNK].into()).unwrap().unwrap();
        assert_eq!((offset, chunk.len()), (0, CHUNK));
        assert!(commands.output(id, &Channel::Stderr, 0).is_some());
        commands.note_stored(id, &Channel::Stderr, CHUNK as u64);
        assert!(commands.output(id, &Channel::Stderr, 0).is_none());
        assert_eq!(commands.received(id).unwrap().stderr, CHUNK as u64);
    }

    #[test]
    fn a_command_is_expected_until_its_time_is_up_or_its_output_ends() {
        let (commands, id, _) = one_command();
        let at = |seconds| Timestamp::from_micros(0).plus(Duration::from_secs(seconds));
        let until = || commands.expected_until(id, Duration::from_secs(5), Duration::from_mins(1));
        assert_eq!(until(), None, "it was not sent from here");
        commands.note_sent(id, at(100));
        commands.note_heard(id, at(101));
        assert_eq!(until(), Some(at(165)));
        commands.note_heard(id, at(130));
        assert_eq!(until(), Some(at(190)), "its output still comes");
        commands.note_sent(id, at(200));
        assert_eq!(until(), Some(at(265)), "it may begin only now");
    }

    #[test]
    fn another_satellite_has_no_say() {
        let (commands, id, satellite) = one_command();
        let other = SatelliteId::new(Seed { unix_millis: 1, random: [2; 10] });
        assert!(commands.meta(id, satellite).is_some());
        assert!(commands.meta(id, other).is_none());
    }

    #[test]
    fn output_beyond_the_cap_is_refused() {
        let (commands, id, _) = one_command();
        let too_far = commands.add_output(id, &Channel::Stdout, 0, &vec![0; MAX_OUTPUT as usize + 1].into());
        assert_eq!(too_far, Err(OutputError::BeyondCap));
    }
}
