//! The store in one SQLite file, or in memory for tests and embedding.
//!
//! Reads go through a few connections, writes through one task that commits all that wait in one transaction. Several
//! processes may open the same file: each write transaction takes the file's lock before it reads anything.

mod audit;
mod bind;
mod commands;
mod error;
mod fields;
mod identity;
mod migrations;
mod output;
mod pool;
mod satellites;
mod sessions;
mod tokens;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use self::error::is_busy;
use self::pool::{Lease, Pool};
use self::writer::{Transaction, Undo, Writer};
use super::{StoreError, StoreResult};

/// Connections that read at the same time.
const READERS: usize = 4;
/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a new file is tried again that another process is just setting up: switching to WAL does not wait by itself.
const OPEN_RETRY: Duration = Duration::from_millis(20);
/// The page cache of each connection, in KiB (negative is SQLite's way to say so).
const CACHE: &str = "-8000";

/// A store in an SQLite database.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Arc<Pool>,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the database file, and makes it where it is missing.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        create_private(path).map_err(|error| StoreError::Unavailable(error.into()))?;
        let options = options().filename(path);
        let mut first = connect_patiently(&options.clone().journal_mode(SqliteJournalMode::Wal)).await?;
        migrations::run(&mut first).await?;
        let readers = Pool::new();
        for _ in 0..READERS {
            readers.put(options.clone().pragma("query_only", "ON").connect().await?);
        }
        let writer = Pool::new();
        writer.put(first);
        Ok(Self { readers, writer: Writer::start(writer) })
    }

    /// A database in memory, gone with the store.
    pub async fn in_memory() -> StoreResult<Self> {
        let mut only = options().filename(":memory:").connect().await?;
        migrations::run(&mut only).await?;
        // A database in memory belongs to its connection, so that reading and writing take turns.
        let pool = Pool::new();
        pool.put(only);
        Ok(Self { readers: Arc::clone(&pool), writer: Writer::start(pool) })
    }

    /// Finishes what was handed in before, and closes the file. What is handed in later is refused.
    ///
    /// Dropping the store without it loses nothing that was acknowledged.
    pub async fn close(&self) -> StoreResult<()> {
        self.writer.close().await;
        for connection in self.readers.close() {
            connection.close().await?;
        }
        Ok(())
    }

    async fn read(&self) -> StoreResult<Lease> {
        self.readers.take().await
    }

    /// Runs `work` in a transaction. Where it fails, all that it did is undone.
    async fn write<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
    {
        self.writer.run(work, Undo::ToMark).await
    }

    /// Like [`write`](Self::write) and a little faster, for work that fails with its first statement or not at all.
    ///
    /// Where it fails later nevertheless, the other work of the same transaction is undone with it.
    async fn write_simple<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
    {
        self.writer.run(work, Undo::WithAll).await
    }
}

/// Makes the file where it is missing, for its owner alone. SQLite gives the files beside it the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", CACHE)
        .disable_statement_logging()
}

async fn connect_patiently(options: &SqliteConnectOptions) -> StoreResult<SqliteConnection> {
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(OPEN_RETRY).await;
            }
            result => return result.map_err(StoreError::from),
        }
    }
}

#[cfg(test)]
mod tests;
