//! The journal: an append-only file of JSON lines that records which commands were started, so that none runs twice.
//! Each line has a checksum, which detects a disk that changed it.
//!
//! Its first line contains a random id. A satellite that lost its journal has another id, which tells the server that
//! an unknown command may have run before. Only the start of a command waits for the disk, before its process exists;
//! ends are written while they are sent. The journal contains neither commands nor output.
//!
//! [`CommandLedger`] is the same information as a plain struct in memory, and makes the decisions. [`format`] is the text
//! of the file without I/O, [`file`] the file, [`writer`] the thread that writes it.

mod file;
mod format;
mod ledger;
mod power_start;
mod record;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::storage::disk::DiskHealth;

use writer::{JournalWrite, SyncWaiter, write_all};

pub(crate) use file::{JournalFile, OpenedJournal};
pub(crate) use ledger::{CommandLedger, DeliveryDecision};
pub(crate) use power_start::PowerStart;
pub(crate) use record::JournalRecord;

/// Records that may wait for the disk. When the queue is full, the next command waits to be started.
const QUEUE: usize = 1024;
/// A journal below this size is never rewritten.
const MIN_COMPACT_SIZE: u64 = 256 * 1024;

/// What error messages call it.
pub(crate) const NAME: &str = "its journal";

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
        // Bounded: on a slow disk commands wait to be started, and memory does not grow.
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

    /// Appends the record of a start and waits until it is synced. The process of the command may start as soon as `permit`
    /// arrives: after the sync and before this returns. If the record cannot be written, the permit is dropped.
    pub(crate) async fn append_start(&self, record: &JournalRecord, permit: oneshot::Sender<()>) -> io::Result<()> {
        self.sync(record.to_line()?, Some(permit)).await
    }

    /// Appends a record without waiting for the disk.
    pub(crate) async fn append(&self, record: &JournalRecord) -> io::Result<()> {
        self.send(JournalWrite::Append(record.to_line()?)).await
    }

    /// Waits until all earlier records are synced.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        self.sync(Vec::new(), None).await
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

    async fn sync(&self, line: Vec<u8>, permit: Option<oneshot::Sender<()>>) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(JournalWrite::Sync(line, SyncWaiter { done, permit })).await?;
        answer.await.map_err(|_| writer_gone())?
    }

    async fn send(&self, work: JournalWrite) -> io::Result<()> {
        self.queue.send(work).await.map_err(|_| writer_gone())
    }
}

fn writer_gone() -> io::Error {
    io::Error::other("the journal's writer is gone")
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
