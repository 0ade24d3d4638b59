//! A handful of connections, lent out one by one.
//!
//! Smaller than sqlx's pool on purpose: giving a connection back is synchronous, spawns nothing and asks the database
//! nothing.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use sqlx::sqlite::SqliteConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::{StoreError, StoreResult};

#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<SqliteConnection>>,
    /// One permit for each connection in `idle`.
    available: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { idle: Mutex::new(Vec::new()), available: Arc::new(Semaphore::new(0)) })
    }

    /// Adds a connection.
    pub(super) fn put(&self, connection: SqliteConnection) {
        self.lock().push(connection);
        self.available.add_permits(1);
    }

    /// Takes a connection that gives itself back when dropped; waits while all are out.
    pub(super) async fn take(self: &Arc<Self>) -> StoreResult<Lease> {
        let permit = Arc::clone(&self.available)
            .acquire_owned()
            .await
            .map_err(|closed| StoreError::Unavailable(closed.into()))?;
        let connection = self.lock().pop();
        Ok(Lease { connection, pool: Arc::clone(self), _permit: permit })
    }

    /// Lends nothing any more, and returns the connections that are not out. The others close when they come back.
    pub(super) fn close(&self) -> Vec<SqliteConnection> {
        self.available.close();
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().expect("nothing panics while the list is locked")
    }
}

/// A connection on loan.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<SqliteConnection>,
    pool: Arc<Pool>,
    /// Dropped after `Drop` below has put the connection back.
    _permit: OwnedSemaphorePermit,
}

impl Deref for Lease {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect("a lease has its connection until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("a lease has its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.pool.available.is_closed() {
            self.pool.lock().extend(self.connection.take());
        }
    }
}
