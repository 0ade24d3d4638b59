//! Commands that satellites work on now: output that is not stored yet, and who waits for the end.
//!
//! Output is buffered up to one chunk a stream and then stored, so that a large one is on disk. Each follower of a command keeps an
//! offset of its own: a slow one delays nobody and misses nothing. All buffers together have a limit, above which output is stored
//! early ([`InFlightCommands::begin_spill`]).
//!
//! A command has a lock of its own, and the map has one for each of its shards, which is held to look a command up: a busy command
//! delays no other. A caller may also wait for a command that is not in flight ([`WatchedCommand::Absent`]).

mod absent;
mod output_buffer;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use hive_wire::agent::{Channel, MAX_OUTPUT, Received};
use hive_wire::api::{Actor, CommandType};
use hive_wire::{CommandId, JobId, SatelliteId, SatelliteName, TeamId, Timestamp};
use tokio::sync::watch;

use crate::store::{CommandOutcome, CommandRow};
use crate::sync::lock;

pub(crate) use absent::WatchedCommand;
pub(crate) use output_buffer::OutputChunk;
use output_buffer::{BufferedBytes, OutputBuffer, detached};

/// The output of an ended command that is kept for its followers; more of it they read from the store. A thousand commands
/// whose output nobody asks for must not hold memory.
const MAX_RETAINED: usize = 8 * 1024;
/// The parts of the map, each with a lock of its own.
const SHARDS: usize = 64;

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
    state: Mutex<CommandState>,
    progress: watch::Sender<CommandProgress>,
}

struct CommandState {
    stdout: OutputBuffer,
    stderr: OutputBuffer,
    is_cancelled: bool,
    /// Whether it was removed from the map. Somebody who had looked it up before may still have it.
    is_over: bool,
    contact: Contact,
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

/// A command that was ended by a change of its satellite. Its followers do not know yet.
pub(crate) struct RevokedCommand {
    pub(crate) id: CommandId,
    /// Output that is not stored yet.
    pub(crate) buffered: Vec<(Channel, u64, Bytes)>,
    command: Arc<InFlightCommand>,
}

impl RevokedCommand {
    /// Reports the end to the followers. They read the outcome from the store.
    pub(crate) fn finish(self) {
        let finished = Arc::new(FinishedCommand { outcome: None });
        self.command.progress.send_modify(|progress| progress.finished = Some(finished));
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
pub(crate) struct InFlightCommands {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    buffered: BufferedBytes,
    max_buffered: usize,
    is_spilling: AtomicBool,
}

#[derive(Default)]
struct Shard {
    commands: HashMap<CommandId, Arc<InFlightCommand>>,
    /// Those who wait for commands that are not here.
    absent: absent::AbsentCommands,
}

/// The right to store output early. Nobody else has it at the same time.
pub(crate) struct Spill<'a> {
    commands: &'a InFlightCommands,
}

impl Drop for Spill<'_> {
    fn drop(&mut self) {
        self.commands.is_spilling.store(false, Ordering::Release);
    }
}

impl InFlightCommands {
    /// No commands, whose output together takes about `max_buffered` bytes of memory at most.
    pub(crate) fn new(max_buffered: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            buffered: BufferedBytes::default(),
            max_buffered,
            is_spilling: AtomicBool::new(false),
        }
    }

    /// Adds a command, of whose output `stored` is stored. One that is there stays as it is.
    pub(crate) fn begin(&self, id: CommandId, meta: CommandMeta, stored: Received) {
        let mut shard = self.shard(id);
        shard.commands.entry(id).or_insert_with(|| {
            let state = CommandState {
                stdout: OutputBuffer::starting_at(stored.stdout, self.buffered.clone()),
                stderr: OutputBuffer::starting_at(stored.stderr, self.buffered.clone()),
                is_cancelled: false,
                is_over: false,
                contact: Contact::default(),
            };
            let progress = watch::Sender::new(CommandProgress { received: stored, finished: None });
            Arc::new(InFlightCommand { meta, state: Mutex::new(state), progress })
        });
        shard.absent.wake(id, false);
    }

    /// Marks a command as cancelled, also where its satellite does not have it yet, and follows it; `None` where no satellite
    /// works on it.
    pub(crate) fn cancel(&self, id: CommandId) -> Option<watch::Receiver<CommandProgress>> {
        let command = self.find(id)?;
        command.state().is_cancelled = true;
        Some(command.progress.subscribe())
    }

    pub(crate) fn is_cancelled(&self, id: CommandId) -> bool {
        self.find(id).is_some_and(|command| command.state().is_cancelled)
    }

    /// Notes that a command is sent to its satellite, for the first time or again.
    pub(crate) fn note_sent(&self, id: CommandId, now: Timestamp) {
        if let Some(command) = self.find(id) {
            command.state().contact.sent = Some(now);
        }
    }

    /// Notes that a satellite has reported something of a command.
    pub(crate) fn note_heard(&self, id: CommandId, now: Timestamp) {
        if let Some(command) = self.find(id) {
            command.state().contact.heard = Some(now);
        }
    }

    /// Returns until when the satellite of a command may still report its end; `None` where this process did not send it.
    pub(crate) fn expected_until(&self, id: CommandId, timeout: Duration, grace: Duration) -> Option<Timestamp> {
        self.find(id)?.state().contact.expected_until(timeout, grace)
    }

    /// Follows a command; `None` where no satellite works on it.
    pub(crate) fn follow(&self, id: CommandId) -> Option<watch::Receiver<CommandProgress>> {
        Some(self.find(id)?.progress.subscribe())
    }

    /// Returns what is known of a command, where this satellite works on it.
    pub(crate) fn meta(&self, id: CommandId, satellite: SatelliteId) -> Option<CommandMeta> {
        let command = self.find(id)?;
        (command.meta.satellite == satellite).then(|| command.meta.clone())
    }

    /// Returns whether a satellite works on a command.
    pub(crate) fn is_in_flight(&self, id: CommandId) -> bool {
        self.find(id).is_some()
    }

    /// Returns how much output has arrived, stored or buffered.
    pub(crate) fn received(&self, id: CommandId) -> Option<Received> {
        Some(self.find(id)?.progress.borrow().received)
    }

    /// Accepts output. Returns whether the buffer is to be stored now: then [`full_chunk`](Self::full_chunk) has it.
    pub(crate) fn add_output(
        &self,
        id: CommandId,
        channel: &Channel,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<bool, OutputError> {
        let command = self.find(id).ok_or(OutputError::NotInFlight)?;
        // Copied before the lock is taken.
        let bytes = detached(bytes);
        let mut state = command.state();
        // It ended after it was found.
        if state.is_over {
            return Err(OutputError::NotInFlight);
        }
        // Output of a channel of a newer version is dropped, and its stream goes on.
        let Some(buffer) = state.buffer(channel) else { return Ok(false) };
        if offset > buffer.end() {
            return Err(OutputError::Gap);
        }
        if offset + bytes.len() as u64 > MAX_OUTPUT {
            return Err(OutputError::BeyondCap);
        }
        buffer.add(offset, bytes);
        let must_store = self.must_store(buffer);
        let received = Received { stdout: state.stdout.end(), stderr: state.stderr.end() };
        command.progress.send_modify(|progress| progress.received = received);
        Ok(must_store)
    }

    /// Returns whether the buffer of a stream is to be stored now.
    pub(crate) fn has_full_chunk(&self, id: CommandId, channel: &Channel) -> bool {
        let Some(command) = self.find(id) else { return false };
        let mut state = command.state();
        state.buffer(channel).is_some_and(|buffer| self.must_store(buffer))
    }

    /// Returns buffered output, where it has grown to a chunk, or where all buffers together are over their limit. Once it is stored,
    /// report that by [`note_stored`](Self::note_stored).
    pub(crate) fn full_chunk(&self, id: CommandId, channel: &Channel) -> Option<(u64, Bytes)> {
        let chunk = {
            let command = self.find(id)?;
            let mut state = command.state();
            let buffer = state.buffer(channel)?;
            // Shared, and not taken out: until the store has the chunk, readers find it here.
            self.must_store(buffer).then(|| buffer.chunk())?
        };
        Some((chunk.offset, chunk.into_bytes()))
    }

    fn must_store(&self, buffer: &OutputBuffer) -> bool {
        buffer.is_full() || (buffer.len() > 0 && self.is_over_limit())
    }

    /// Drops buffered output that is stored by now.
    pub(crate) fn note_stored(&self, id: CommandId, channel: &Channel, end: u64) {
        let Some(command) = self.find(id) else { return };
        if let Some(buffer) = command.state().buffer(channel) {
            buffer.drop_until(end);
        }
    }

    /// Returns some buffered output from `from` on; `None` where it is stored, or not here.
    pub(crate) fn output(&self, id: CommandId, channel: &Channel, from: u64) -> Option<Bytes> {
        // What is before the buffer is in the store.
        self.find(id)?.state().buffer(channel)?.segment(from)
    }

    /// Returns all buffered output, to be stored with the end.
    pub(crate) fn buffered(&self, id: CommandId) -> Vec<(Channel, u64, Bytes)> {
        self.find(id).map(|command| command.buffered()).unwrap_or_default()
    }

    /// Begins to store output early, if all buffers together are over their limit and nobody does so already.
    pub(crate) fn begin_spill(&self) -> Option<Spill<'_>> {
        let is_mine = self.is_over_limit() && !self.is_spilling.swap(true, Ordering::Acquire);
        // Not `then_some`: the drop of a right that is not given away would end the other one.
        is_mine.then(|| Spill { commands: self })
    }

    /// Removes a command and reports the end to its followers.
    pub(crate) fn end(&self, id: CommandId, mut outcome: Option<CommandOutcome>) {
        if let Some(outcome) = &mut outcome
            && outcome.output.iter().map(|(.., bytes)| bytes.len()).sum::<usize>() > MAX_RETAINED
        {
            outcome.output.clear();
        }
        // Removed before the followers are woken: whoever looks for it from then on finds the end in the store.
        let command = {
            let mut shard = self.shard(id);
            shard.absent.wake(id, true);
            shard.commands.remove(&id)
        };
        if let Some(command) = command {
            command.state().is_over = true;
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
        let is_revoked = |meta: &CommandMeta| meta.satellite == satellite && is_matching(meta);
        let mut revoked = Vec::new();
        for shard in &self.shards {
            revoked.extend(lock(shard).commands.extract_if(|_, command| is_revoked(&command.meta)));
        }
        let end = |(id, command): (CommandId, Arc<InFlightCommand>)| {
            command.state().is_over = true;
            RevokedCommand { id, buffered: command.buffered(), command }
        };
        revoked.into_iter().map(end).collect()
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).commands.len()).sum()
    }

    /// Returns the bytes in all buffers together.
    #[cfg(test)]
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffered.get()
    }

    /// Whether all buffers together are over their limit, and nobody stores output early.
    pub(crate) fn needs_spill(&self) -> bool {
        self.is_over_limit() && !self.is_spilling.load(Ordering::Relaxed)
    }

    fn is_over_limit(&self) -> bool {
        self.buffered.get() > self.max_buffered
    }

    fn find(&self, id: CommandId) -> Option<Arc<InFlightCommand>> {
        self.shard(id).commands.get(&id).cloned()
    }

    fn shard(&self, id: CommandId) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.hasher.hash_one(id) as usize % SHARDS])
    }
}

impl Spill<'_> {
    /// Returns the fullest buffers: storing them leaves half of the limit free.
    pub(crate) fn fullest(&self) -> Vec<(CommandId, Channel)> {
        let mut all = Vec::new();
        for shard in &self.commands.shards {
            // Copies, so that no command is locked while its shard is.
            all.extend(lock(shard).commands.iter().map(|(id, command)| (*id, command.clone())));
        }
        let mut buffers: Vec<(usize, CommandId, Channel)> = Vec::new();
        for (id, command) in all {
            let state = command.state();
            buffers.push((state.stdout.len(), id, Channel::Stdout));
            buffers.push((state.stderr.len(), id, Channel::Stderr));
        }
        buffers.retain(|(len, ..)| *len > 0);
        buffers.sort_unstable_by(|(a, ..), (b, ..)| b.cmp(a));
        let mut left = self.commands.buffered.get().saturating_sub(self.commands.max_buffered / 2);
        let is_needed = |(len, ..): &(usize, CommandId, Channel)| {
            let is_needed = left > 0;
            left = left.saturating_sub(*len);
            is_needed
        };
        buffers.into_iter().take_while(is_needed).map(|(_, id, channel)| (id, channel)).collect()
    }

    /// Returns what is buffered of one stream now; `None` if there is nothing.
    pub(crate) fn chunk(&self, id: CommandId, channel: &Channel) -> Option<OutputChunk> {
        let command = self.commands.find(id)?;
        let mut state = command.state();
        let buffer = state.buffer(channel)?;
        (buffer.len() > 0).then(|| buffer.chunk())
    }
}

impl InFlightCommand {
    fn state(&self) -> MutexGuard<'_, CommandState> {
        // Its holders are not async, so that the lock is never held while something is awaited.
        lock(&self.state)
    }

    fn buffered(&self) -> Vec<(Channel, u64, Bytes)> {
        let chunks = {
            let state = self.state();
            let buffers = [(Channel::Stdout, &state.stdout), (Channel::Stderr, &state.stderr)];
            let with_bytes = buffers.into_iter().filter(|(_, buffer)| buffer.len() > 0);
            with_bytes.map(|(channel, buffer)| (channel, buffer.chunk())).collect::<Vec<_>>()
        };
        chunks.into_iter().map(|(channel, chunk)| (channel, chunk.offset, chunk.into_bytes())).collect()
    }
}

impl CommandState {
    fn buffer(&mut self, channel: &Channel) -> Option<&mut OutputBuffer> {
        match channel {
            Channel::Stdout => Some(&mut self.stdout),
            Channel::Stderr => Some(&mut self.stderr),
            Channel::Unknown(_) => None,
        }
    }
}
