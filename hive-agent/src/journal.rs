//! The memory of what ran: an append-only file of JSON lines, so that no command runs twice, whatever dies. Each line has
//! a checksum behind it, so that a disk that changed something is found out.
//!
//! Its first line gives it a random id. A satellite that lost its journal has another id, and the server learns from that
//! that it must not trust the silence about earlier commands. Only the start of a command waits for the disk, and that
//! before its process exists; ends are written beside sending. Neither commands nor their output stand in it.
//!
//! [`Ledger`] is the same as a plain struct in memory, and decides; this module is the file and the thread that writes it.

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

use crate::storage::disk::Disk;

pub(crate) use file::{JournalFile, Opened};
pub(crate) use ledger::{Decision, Ledger, PowerStart};

/// Records that may wait for the disk; then the next command waits to be started.
const QUEUE: usize = 1024;
/// A journal below this size is never rewritten.
const SMALL: u64 = 256 * 1024;

/// What it is called where it cannot be written.
pub(crate) const NAME: &str = "its journal";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum Record {
    /// The command is about to start.
    Started {
        id: CommandId,
        expires_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        power: Option<PowerStart>,
    },
    /// It has ended.
    Finished { at: Timestamp, result: CommandResult },
    /// The server has stored its result.
    Acknowledged { id: CommandId, expires_at: Timestamp },
    /// A line of a newer version.
    #[serde(other)]
    Unknown,
}

impl Record {
    fn to_line(&self) -> io::Result<Vec<u8>> {
        file::line(self)
    }
}

enum Work {
    Append(Vec<u8>),
    /// Appends, and answers when it is on the disk.
    Sync(Vec<u8>, oneshot::Sender<io::Result<()>>),
    Rewrite(Vec<u8>),
}

/// Writes the journal. Lines stand in the file in the order in which the calls were made.
#[derive(Debug)]
pub(crate) struct Journal {
    id: String,
    /// The start ids of the processes that wrote it, the latest last.
    starts: Vec<String>,
    /// Records ever appended that are on the disk.
    position: Arc<AtomicU64>,
    queue: mpsc::Sender<Work>,
    size: Arc<AtomicU64>,
    /// The size at which it is worth rewriting.
    limit: AtomicU64,
}

impl Journal {
    /// Starts the thread that owns the file. It ends when the journal is dropped and everything is written.
    pub(crate) fn start(file: JournalFile, disk: Arc<Disk>) -> io::Result<Self> {
        let (queue, work) = mpsc::channel(QUEUE);
        let size = Arc::new(AtomicU64::new(file.size()));
        let position = Arc::new(AtomicU64::new(file.position()));
        let journal = Self {
            id: file.id().to_owned(),
            starts: file.starts().to_vec(),
            position: position.clone(),
            queue,
            limit: AtomicU64::new(SMALL.max(2 * file.size())),
            size: size.clone(),
        };
        std::thread::Builder::new()
            .name("journal".into())
            .stack_size(128 * 1024)
            .spawn(move || write_all(file, work, &size, &position, &disk))?;
        Ok(journal)
    }

    /// Names the journal.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The start ids of the processes that wrote it, the latest last.
    pub(crate) fn starts(&self) -> &[String] {
        &self.starts
    }

    /// How many records were ever appended and are on the disk. What the server was told of is never lost by a crash.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Writes a record and waits until it is on the disk.
    pub(crate) async fn append_durably(&self, record: &Record) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(Work::Sync(record.to_line()?, done)).await?;
        answer.await.map_err(|_| writer_gone())?
    }

    /// Writes a record soon.
    pub(crate) async fn append(&self, record: &Record) -> io::Result<()> {
        self.send(Work::Append(record.to_line()?)).await
    }

    /// Waits until all earlier records are on the disk.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(Work::Sync(Vec::new(), done)).await?;
        answer.await.map_err(|_| writer_gone())?
    }

    /// Whether most of the file may be history by now.
    pub(crate) fn is_worth_compacting(&self) -> bool {
        self.size.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// Replaces the file by what `content` gives at the moment its turn is certain: every record applied to the ledger
    /// before must be in it, every one applied after is appended behind it.
    pub(crate) async fn compact(&self, content: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<()> {
        let turn = self.queue.reserve().await.map_err(|_| writer_gone())?;
        let content = content()?;
        self.limit.store(SMALL.max(2 * content.len() as u64), Ordering::Relaxed);
        turn.send(Work::Rewrite(content));
        Ok(())
    }

    async fn send(&self, work: Work) -> io::Result<()> {
        self.queue.send(work).await.map_err(|_| writer_gone())
    }
}

fn writer_gone() -> io::Error {
    io::Error::other("the journal's writer is gone")
}

/// The thread: everything that waits goes to the disk with one sync.
fn write_all(
    mut file: JournalFile,
    mut work: mpsc::Receiver<Work>,
    size: &AtomicU64,
    position: &AtomicU64,
    disk: &Disk,
) {
    while let Some(first) = work.blocking_recv() {
        let mut lines = Vec::new();
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Work::Append(line) => lines.extend(line),
                Work::Sync(line, done) => {
                    lines.extend(line);
                    waiting.push(done);
                }
                Work::Rewrite(content) => {
                    write_batch(&mut file, &mut lines, &mut waiting, position, disk);
                    log_failure(file.rewrite(&content), disk);
                }
            }
            next = work.try_recv().ok();
        }
        write_batch(&mut file, &mut lines, &mut waiting, position, disk);
        size.store(file.size(), Ordering::Relaxed);
    }
}

fn write_batch(
    file: &mut JournalFile,
    lines: &mut Vec<u8>,
    waiting: &mut Vec<oneshot::Sender<io::Result<()>>>,
    position: &AtomicU64,
    disk: &Disk,
) {
    let is_durable = !waiting.is_empty();
    let written = file.append(lines, is_durable);
    lines.clear();
    if is_durable && written.is_ok() {
        // In front of the answers: the acknowledgement of a command tells a position that includes its start.
        position.store(file.position(), Ordering::Release);
    }
    for done in waiting.drain(..) {
        let answer = written.as_ref().map(|&()| ()).map_err(|error| io::Error::new(error.kind(), error.to_string()));
        // Who no longer waits has given up the command.
        drop(done.send(answer));
    }
    log_failure(written, disk);
}

fn log_failure(written: io::Result<()>, disk: &Disk) {
    if let Err(error) = written {
        error!("{}", disk.failed(NAME, &error));
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
