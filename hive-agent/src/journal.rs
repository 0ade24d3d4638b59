//! The journal: an append-only file of JSON lines that records which commands were started, so that none runs twice.
//! Each line has a checksum, which detects a disk that changed it.
//!
//! Its first line contains a random id. A satellite that lost its journal has another id, which tells the server that
//! an unknown command may have run before. Only the start of a command waits for the disk, before its process exists;
//! ends are written while they are sent. The journal contains neither commands nor output.
//!
//! [`CommandLedger`] is the same information as a plain struct in memory, and makes the decisions. This module is the
//! file and the thread that writes it.

mod file;
mod ledger;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hive_wire::agent::CommandResult;
use hive_wire::{CommandId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::storage::disk::DiskHealth;

pub(crate) use file::{JournalFile, OpenedJournal};
pub(crate) use ledger::{CommandLedger, DeliveryDecision, PowerStart};

/// Records that may wait for the disk. When the queue is full, the next command waits to be started.
const QUEUE: usize = 1024;
/// A journal below this size is never rewritten.
const MIN_COMPACT_SIZE: u64 = 256 * 1024;

/// What error messages call it.
pub(crate) const NAME: &str = "its journal";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum JournalRecord {
    /// The command is about to start.
    Started {
        id: CommandId,
        expires_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        power: Option<PowerStart>,
    },
    /// The command has ended.
    Finished { at: Timestamp, result: CommandResult },
    /// The server has stored the result.
    Acknowledged { id: CommandId, expires_at: Timestamp },
    /// A line of a later version.
    #[serde(other)]
    Unknown,
}

impl JournalRecord {
    fn to_line(&self) -> io::Result<Vec<u8>> {
        file::line(self)
    }
}

enum JournalWrite {
    Append(Vec<u8>),
    /// Appends, and answers after the sync.
    Sync(Vec<u8>, oneshot::Sender<io::Result<()>>),
    Rewrite(Vec<u8>),
}

/// Writes the journal. The order of lines in the file is the order of calls.
#[derive(Debug)]
pub(crate) struct Journal {
    id: String,
    /// The start ids of the processes that wrote the journal, the latest last.
    starts: Vec<String>,
    /// The number of records ever appended and synced.
    position: Arc<AtomicU64>,
    queue: mpsc::Sender<JournalWrite>,
    size: Arc<AtomicU64>,
    /// The size from which on a rewrite is worth its cost.
    limit: AtomicU64,
}

impl Journal {
    /// Starts the thread that owns the file. It ends when the journal is dropped and everything is written.
    pub(crate) fn start(file: JournalFile, disk: Arc<DiskHealth>) -> io::Result<Self> {
        let (queue, work) = mpsc::channel(QUEUE);
        let size = Arc::new(AtomicU64::new(file.size()));
        let position = Arc::new(AtomicU64::new(file.position()));
        let journal = Self {
            id: file.id().to_owned(),
            starts: file.starts().to_vec(),
            position: position.clone(),
            queue,
            // Twice the size, so that the cost of rewriting stays proportional to what is appended.
            limit: AtomicU64::new(MIN_COMPACT_SIZE.max(2 * file.size())),
            size: size.clone(),
        };
        std::thread::Builder::new()
            .name("journal".into())
            // The default of 2 MiB would be most of the agent's memory.
            .stack_size(128 * 1024)
            .spawn(move || write_all(file, work, &size, &position, &disk))?;
        Ok(journal)
    }

    /// The id of the journal.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The start ids of the processes that wrote the journal, the latest last.
    pub(crate) fn starts(&self) -> &[String] {
        &self.starts
    }

    /// The number of records ever appended and synced. A crash never loses a record that the server was told of.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Appends a record and waits until it is synced.
    pub(crate) async fn append_durably(&self, record: &JournalRecord) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(JournalWrite::Sync(record.to_line()?, done)).await?;
        answer.await.map_err(|_| writer_gone())?
    }

    /// Appends a record without waiting for the disk.
    pub(crate) async fn append(&self, record: &JournalRecord) -> io::Result<()> {
        self.send(JournalWrite::Append(record.to_line()?)).await
    }

    /// Waits until all earlier records are synced.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(JournalWrite::Sync(Vec::new(), done)).await?;
        answer.await.map_err(|_| writer_gone())?
    }

    /// Whether the file is large compared with its last rewrite.
    pub(crate) fn needs_compacting(&self) -> bool {
        self.size.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// Replaces the file by `content`, which is called when the place in the queue is reserved: it must contain every
    /// record applied to the ledger before, and every later record is appended behind it.
    pub(crate) async fn compact(&self, content: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<()> {
        // The place is reserved before the content is built: records that are sent later go behind it.
        let turn = self.queue.reserve().await.map_err(|_| writer_gone())?;
        let content = content()?;
        self.limit.store(MIN_COMPACT_SIZE.max(2 * content.len() as u64), Ordering::Relaxed);
        turn.send(JournalWrite::Rewrite(content));
        Ok(())
    }

    async fn send(&self, work: JournalWrite) -> io::Result<()> {
        self.queue.send(work).await.map_err(|_| writer_gone())
    }
}

fn writer_gone() -> io::Error {
    io::Error::other("the journal's writer is gone")
}

/// The thread: everything that waits is written with one sync.
fn write_all(
    mut file: JournalFile,
    mut work: mpsc::Receiver<JournalWrite>,
    size: &AtomicU64,
    position: &AtomicU64,
    disk: &DiskHealth,
) {
    while let Some(first) = work.blocking_recv() {
        let mut lines = Vec::new();
        let mut waiters = Vec::new();
        let mut next = Some(first);
        // Everything that waits is collected first: one sync then covers many commands.
        while let Some(item) = next {
            match item {
                JournalWrite::Append(line) => lines.extend(line),
                JournalWrite::Sync(line, done) => {
                    lines.extend(line);
                    waiters.push(done);
                }
                // The batch before the rewrite belongs to the old file and is written first.
                JournalWrite::Rewrite(content) => {
                    write_batch(&mut file, &mut lines, &mut waiters, position, disk);
                    log_failure(file.rewrite(&content), disk);
                }
            }
            next = work.try_recv().ok();
        }
        write_batch(&mut file, &mut lines, &mut waiters, position, disk);
        size.store(file.size(), Ordering::Relaxed);
    }
}

fn write_batch(
    file: &mut JournalFile,
    lines: &mut Vec<u8>,
    waiters: &mut Vec<oneshot::Sender<io::Result<()>>>,
    position: &AtomicU64,
    disk: &DiskHealth,
) {
    // A batch without a waiting caller needs no sync.
    let is_durable = !waiters.is_empty();
    let written = file.append(lines, is_durable);
    lines.clear();
    if is_durable && written.is_ok() {
        // Before the answers are sent: the acknowledgement of a command contains a position that includes its start.
        position.store(file.position(), Ordering::Release);
    }
    for done in waiters.drain(..) {
        let answer = written.as_ref().map(|&()| ()).map_err(|error| io::Error::new(error.kind(), error.to_string()));
        // A caller that no longer waits has dropped the command.
        drop(done.send(answer));
    }
    log_failure(written, disk);
}

fn log_failure(written: io::Result<()>, disk: &DiskHealth) {
    if let Err(error) = written {
        error!("{}", disk.record_failure(NAME, &error));
    }
}

#[cfg(test)]
impl Journal {
    /// A journal that cannot be written.
    pub(crate) fn broken() -> Self {
        Self {
            id: "broken".into(),
            starts: Vec::new(),
            position: Arc::default(),
            queue: mpsc::channel(1).0,
            size: Arc::default(),
            limit: AtomicU64::new(u64::MAX),
        }
    }
}
