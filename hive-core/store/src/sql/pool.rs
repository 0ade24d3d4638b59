//! A small connection pool.
//!
//! sqlx has a pool of its own, which spawns a task and asks the database whenever a connection is returned. Here a return is
//! synchronous. A lost connection is dropped on its return and replaced when one is next needed.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Connection, Connector};
use crate::{StoreError, StoreResult};

#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Box<dyn Connection>>>,
    /// One permit for each connection that may be in use at the same time.
    available: Arc<Semaphore>,
    /// Makes missing connections. `None` if connections cannot be lost.
    connector: Option<Arc<dyn Connector>>,
}

impl Pool {
    /// A pool of these connections, none of which can be lost.
    #[cfg(feature = "sqlite")]
    pub(crate) fn fixed(connections: Vec<Box<dyn Connection>>) -> Arc<Self> {
        let available = Arc::new(Semaphore::new(connections.len()));
        Arc::new(Self { idle: Mutex::new(connections), available, connector: None })
    }

    /// A pool of up to `size` connections, which are made when they are needed.
    #[cfg(feature = "postgres")]
    pub(crate) fn with_connector(connector: Arc<dyn Connector>, size: usize) -> Arc<Self> {
        let available = Arc::new(Semaphore::new(size));
        Arc::new(Self { idle: Mutex::default(), available, connector: Some(connector) })
    }

    /// Takes a connection, and waits while all are in use. Dropping it returns it.
    pub(super) async fn take(self: &Arc<Self>) -> StoreResult<PooledConnection> {
        let permit = Arc::clone(&self.available)
            .acquire_owned()
            .await
            .map_err(|closed| StoreError::Unavailable(closed.into()))?;
        let idle = self.lock().pop();
        let is_new = idle.is_none();
        let connection = match (idle, &self.connector) {
            (Some(connection), _) => connection,
            (None, Some(connector)) => connector.connect().await?,
            (None, None) => unreachable!("a connection that cannot be lost is returned before its permit"),
        };
        Ok(PooledConnection { connection: Some(connection), is_new, pool: Arc::clone(self), _permit: permit })
    }

    /// Closes the idle connections, and refuses to hand out more. Connections in use are closed on their return.
    pub(super) async fn close(&self) -> StoreResult<()> {
        self.available.close();
        let idle = std::mem::take(&mut *self.lock());
        for connection in idle {
            connection.close().await?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Connection>>> {
        // Poisoning is ignored, as in the whole workspace: a panic under the lock leaves a list of connections as usable as before.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct PooledConnection {
    connection: Option<Box<dyn Connection>>,
    is_new: bool,
    pool: Arc<Pool>,
    // Fields are dropped after `drop` below has returned the connection. A permit without a connection would make `take` fail.
    _permit: OwnedSemaphorePermit,
}

impl PooledConnection {
    /// Whether it was lost while it was idle. Its first user can then retry on another one, because nothing was done.
    pub(super) fn was_lost_while_idle(&self) -> bool {
        !self.is_new && self.is_lost()
    }
}

impl Deref for PooledConnection {
    type Target = dyn Connection;

    fn deref(&self) -> &Self::Target {
        self.connection.as_deref().expect("the connection is there until the drop")
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.connection.as_deref_mut().expect("the connection is there until the drop")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let connection = self.connection.take().filter(|connection| !connection.is_lost());
        if !self.pool.available.is_closed() {
            self.pool.lock().extend(connection);
        }
    }
}
