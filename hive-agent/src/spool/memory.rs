//! The rest of an output that the disk does not take, kept in memory until the server has it, within a limit.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hive_wire::CommandId;
use hive_wire::agent::Channel;
use tokio::sync::Notify;

/// Bytes kept of one output. Beyond that, its program waits for the server.
const MAX_TAIL: usize = 512 * 1024;
/// Bytes kept of all outputs. Beyond that, the rest of the output that needs more is dropped.
const MAX_ALL: usize = 16 * 1024 * 1024;
/// How long a program waits for the server. After that, the rest of its output is dropped.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The tails of all outputs.
#[derive(Debug)]
pub(super) struct MemorySpool {
    tails: Mutex<HashMap<(CommandId, Channel), Arc<MemoryTail>>>,
    used: Arc<AtomicUsize>,
    read_timeout: Duration,
}

impl Default for MemorySpool {
    fn default() -> Self {
        Self { tails: Mutex::default(), used: Arc::default(), read_timeout: READ_TIMEOUT }
    }
}

impl MemorySpool {
    /// Starts a tail at this offset of an output.
    pub(super) fn begin(&self, id: CommandId, channel: Channel, offset: u64) -> Arc<MemoryTail> {
        let state = MemoryTailState { begin: offset, start: offset, acknowledged: offset, bytes: VecDeque::new() };
        let tail = Arc::new(MemoryTail {
            state: Mutex::new(state),
            freed: Notify::new(),
            used: self.used.clone(),
            read_timeout: self.read_timeout,
        });
        self.tails().insert((id, channel), tail.clone());
        tail
    }

    pub(super) fn get(&self, id: CommandId, channel: Channel) -> Option<Arc<MemoryTail>> {
        self.tails().get(&(id, channel)).cloned()
    }

    pub(super) fn remove(&self, id: CommandId) {
        let mut tails = self.tails();
        tails.remove(&(id, Channel::Stdout));
        tails.remove(&(id, Channel::Stderr));
    }

    fn tails(&self) -> MutexGuard<'_, HashMap<(CommandId, Channel), Arc<MemoryTail>>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rest of one output.
#[derive(Debug)]
pub(super) struct MemoryTail {
    state: Mutex<MemoryTailState>,
    /// The server has read some of it.
    freed: Notify,
    used: Arc<AtomicUsize>,
    read_timeout: Duration,
}

#[derive(Debug)]
struct MemoryTailState {
    /// The offset at which the tail starts.
    begin: u64,
    /// The offset of the first byte that is kept.
    start: u64,
    /// The offset up to which the server has the output.
    acknowledged: u64,
    bytes: VecDeque<u8>,
}

impl MemoryTailState {
    /// The number of bytes that the server does not have.
    fn unacknowledged(&self) -> usize {
        let end = self.start + self.bytes.len() as u64;
        end.saturating_sub(self.acknowledged.max(self.start)) as usize
    }
}

impl MemoryTail {
    fn state(&self) -> MutexGuard<'_, MemoryTailState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset at which the tail starts.
    pub(super) fn begin(&self) -> u64 {
        self.state().begin
    }

    /// Waits for room. Returns false if the server does not read for too long.
    pub(super) async fn room(&self) -> bool {
        loop {
            // Registered before the check, so that an acknowledgement in between is not missed.
            let freed = self.freed.notified();
            if self.state().unacknowledged() < MAX_TAIL {
                return true;
            }
            if tokio::time::timeout(self.read_timeout, freed).await.is_err() {
                return false;
            }
        }
    }

    /// Appends bytes, in place of those that the server has. Returns false if there is no memory for them.
    pub(super) fn append(&self, piece: &[u8]) -> bool {
        let mut state = self.state();
        let too_many = (state.bytes.len() + piece.len()).saturating_sub(MAX_TAIL);
        let done = state.bytes.len() - state.unacknowledged();
        let dropped = too_many.min(done);
        state.bytes.drain(..dropped);
        state.start += dropped as u64;
        // Freed first: the bytes that the server has make room for the new ones.
        let used = self.used.fetch_sub(dropped, Ordering::Relaxed) - dropped;
        if used + piece.len() > MAX_ALL {
            return false;
        }
        self.used.fetch_add(piece.len(), Ordering::Relaxed);
        state.bytes.extend(piece);
        true
    }

    /// Notes that the server has everything before this offset.
    pub(super) fn acknowledge(&self, offset: u64) {
        let mut state = self.state();
        if offset > state.acknowledged {
            state.acknowledged = offset;
            self.freed.notify_waiters();
        }
    }

    /// Reads bytes that were appended and are still kept.
    pub(super) fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let state = self.state();
        let from = offset.checked_sub(state.start).map(|from| from as usize);
        let range = from.filter(|from| from + len <= state.bytes.len()).map(|from| from..from + len);
        let range = range.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is not in memory any more"))?;
        Ok(state.bytes.range(range).copied().collect())
    }
}

impl Drop for MemoryTail {
    fn drop(&mut self) {
        self.used.fetch_sub(self.state().bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    fn id(n: u8) -> CommandId {
        CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    #[tokio::test]
    async fn a_program_waits_for_the_server_and_not_for_ever() {
        let memory = MemorySpool { read_timeout: Duration::from_millis(20), ..MemorySpool::default() };
        let tail = memory.begin(id(1), Channel::Stdout, 100);
        assert!(tail.room().await && tail.append(&vec![b'x'; MAX_TAIL]));
        assert!(!tail.room().await, "nobody takes anything");
        let taking = async {
            tokio::task::yield_now().await;
            tail.acknowledge(150);
        };
        let (has_room, ()) = tokio::join!(tail.room(), taking);
        assert!(has_room && tail.append(b"12345678901234567890"));
        assert_eq!(tail.read(100 + MAX_TAIL as u64, 20).unwrap(), "12345678901234567890");
        assert_eq!(tail.read(120, 1).unwrap(), "x", "the latest of what the server has stays");
        assert!(tail.read(119, 1).is_err() && tail.read(100 + MAX_TAIL as u64, 21).is_err());
    }

    #[test]
    fn all_outputs_share_one_bound() {
        let memory = MemorySpool::default();
        let piece = vec![b'x'; 32 * 1024];
        let mut count = 0;
        while memory.begin(id(count), Channel::Stderr, 0).append(&piece) {
            let tail = memory.get(id(count), Channel::Stderr).unwrap();
            for _ in 1..10 {
                tail.append(&piece);
            }
            count += 1;
        }
        assert_eq!(usize::from(count), MAX_ALL / (10 * piece.len()) + 1);
        memory.remove(id(0));
        assert!(memory.begin(id(0), Channel::Stdout, 0).append(&piece));
        (0..=count).for_each(|n| memory.remove(id(n)));
        assert_eq!(memory.used.load(Ordering::Relaxed), 0);
    }
}
