//! The end of an output that the disk does not take: it is kept in memory until the server has it, within a bound.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hive_wire::CommandId;
use hive_wire::agent::Channel;
use tokio::sync::Notify;

/// Bytes kept of one output; then its program waits for the server to take some.
const MAX_TAIL: usize = 512 * 1024;
/// Bytes kept of all outputs; then the rest of the one that needs more is dropped.
const MAX_ALL: usize = 16 * 1024 * 1024;
/// How long a program waits for a server that takes nothing; then the rest of its output is dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// The tails of all outputs.
#[derive(Debug)]
pub(super) struct Memory {
    tails: Mutex<HashMap<(CommandId, Channel), Arc<Tail>>>,
    used: Arc<AtomicUsize>,
    patience: Duration,
}

impl Default for Memory {
    fn default() -> Self {
        Self { tails: Mutex::default(), used: Arc::default(), patience: PATIENCE }
    }
}

impl Memory {
    /// Begins a tail at this offset of an output.
    pub(super) fn begin(&self, id: CommandId, channel: Channel, offset: u64) -> Arc<Tail> {
        let state = TailState { begin: offset, start: offset, acknowledged: offset, bytes: VecDeque::new() };
        let tail = Arc::new(Tail {
            state: Mutex::new(state),
            freed: Notify::new(),
            used: self.used.clone(),
            patience: self.patience,
        });
        self.tails().insert((id, channel), tail.clone());
        tail
    }

    pub(super) fn get(&self, id: CommandId, channel: Channel) -> Option<Arc<Tail>> {
        self.tails().get(&(id, channel)).cloned()
    }

    pub(super) fn remove(&self, id: CommandId) {
        let mut tails = self.tails();
        tails.remove(&(id, Channel::Stdout));
        tails.remove(&(id, Channel::Stderr));
    }

    fn tails(&self) -> MutexGuard<'_, HashMap<(CommandId, Channel), Arc<Tail>>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of one output.
#[derive(Debug)]
pub(super) struct Tail {
    state: Mutex<TailState>,
    /// The server has taken some.
    freed: Notify,
    used: Arc<AtomicUsize>,
    patience: Duration,
}

#[derive(Debug)]
struct TailState {
    /// The offset of the output at which memory begins.
    begin: u64,
    /// The offset of the first byte that is still here.
    start: u64,
    /// Everything before this offset is the server's.
    acknowledged: u64,
    bytes: VecDeque<u8>,
}

impl TailState {
    /// How many bytes the server does not have.
    fn unacknowledged(&self) -> usize {
        let end = self.start + self.bytes.len() as u64;
        end.saturating_sub(self.acknowledged.max(self.start)) as usize
    }
}

impl Tail {
    fn state(&self) -> MutexGuard<'_, TailState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where memory begins.
    pub(super) fn begin(&self) -> u64 {
        self.state().begin
    }

    /// Waits for room. False where the server takes nothing for too long.
    pub(super) async fn room(&self) -> bool {
        loop {
            let freed = self.freed.notified();
            if self.state().unacknowledged() < MAX_TAIL {
                return true;
            }
            if tokio::time::timeout(self.patience, freed).await.is_err() {
                return false;
            }
        }
    }

    /// Adds a piece, in place of what the server has. False where there is no memory for it.
    pub(super) fn append(&self, piece: &[u8]) -> bool {
        let mut state = self.state();
        let too_many = (state.bytes.len() + piece.len()).saturating_sub(MAX_TAIL);
        let done = state.bytes.len() - state.unacknowledged();
        let dropped = too_many.min(done);
        state.bytes.drain(..dropped);
        state.start += dropped as u64;
        let used = self.used.fetch_sub(dropped, Ordering::Relaxed) - dropped;
        if used + piece.len() > MAX_ALL {
            return false;
        }
        self.used.fetch_add(piece.len(), Ordering::Relaxed);
        state.bytes.extend(piece);
        true
    }

    /// Takes the server's word that it has everything before this offset.
    pub(super) fn acknowledge(&self, offset: u64) {
        let mut state = self.state();
        if offset > state.acknowledged {
            state.acknowledged = offset;
            self.freed.notify_waiters();
        }
    }

    /// Reads a piece that was appended and not given up.
    pub(super) fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let state = self.state();
        let from = offset.checked_sub(state.start).map(|from| from as usize);
        let range = from.filter(|from| from + len <= state.bytes.len()).map(|from| from..from + len);
        let range = range.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is not in memory any more"))?;
        Ok(state.bytes.range(range).copied().collect())
    }
}

impl Drop for Tail {
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
        let memory = Memory { patience: Duration::from_millis(20), ..Memory::default() };
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
        let memory = Memory::default();
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
