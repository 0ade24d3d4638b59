//! A handful of connections, lent out one by one.
//!
//! Smaller than sqlx's pool on purpose: giving a connection back is synchronous, spawns nothing and asks the database
//! nothing. One that is lost is not taken back, and made again when it is next needed.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Connect, Connection};
use crate::{StoreError, StoreResult};

#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Box<dyn Connection>>>,
    /// One permit for each connection that may be out at once.
    available: Arc<Semaphore>,
    /// Makes those that are not there; none for connections that cannot be lost.
    connect: Option<Arc<dyn Connect>>,
}

impl Pool {
    /// These connections, none of which can be lost.
    #[cfg(feature = "sqlite")]
    pub(crate) fn of(connections: Vec<Box<dyn Connection>>) -> Arc<Self> {
        let available = Arc::new(Semaphore::new(connections.len()));
        Arc::new(Self { idle: Mutex::new(connections), available, connect: None })
    }

    /// Up to `size` connections, each made when it is first needed.
    #[cfg(feature = "postgres")]
    pub(crate) fn connecting(connect: Arc<dyn Connect>, size: usize) -> Arc<Self> {
        let available = Arc::new(Semaphore::new(size));
        Arc::new(Self { idle: Mutex::default(), available, connect: Some(connect) })
    }

    /// Takes a connection that gives itself back when dropped; waits while all are out.
    pub(super) async fn take(self: &Arc<Self>) -> StoreResult<Lease> {
        let permit = Arc::clone(&self.available)
            .acquire_owned()
            .await
            .map_err(|closed| StoreError::Unavailable(closed.into()))?;
        let idle = self.lock().pop();
        let is_fresh = idle.is_none();
        let connection = match (idle, &self.connect) {
            (Some(connection), _) => connection,
            (None, Some(connect)) => connect.connect().await?,
            (None, None) => unreachable!("connections that cannot be lost come back before their permit does"),
        };
        Ok(Lease { connection: Some(connection), is_fresh, pool: Arc::clone(self), _permit: permit })
    }

    /// Lends nothing any more, and closes the connections that are not out. The others end when they come back.
    pub(super) async fn close(&self) -> StoreResult<()> {
        self.available.close();
        let idle = std::mem::take(&mut *self.lock());
        for connection in idle {
            connection.close().await?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Connection>>> {
        self.idle.lock().expect("nothing panics while the list is locked")
    }
}

/// A connection on loan.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Option<Box<dyn Connection>>,
    is_fresh: bool,
    pool: Arc<Pool>,
    /// Dropped after `Drop` below has put the connection back.
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Whether it was lost while nobody used it: then its first user can try again with another and finds nothing done.
    pub(super) fn was_stale(&self) -> bool {
        !self.is_fresh && self.is_lost()
    }
}

impl Deref for Lease {
    type Target = dyn Connection;

    fn deref(&self) -> &Self::Target {
        self.connection.as_deref().expect("a lease has its connection until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.connection.as_deref_mut().expect("a lease has its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let connection = self.connection.take().filter(|connection| !connection.is_lost());
        if !self.pool.available.is_closed() {
            self.pool.lock().extend(connection);
        }
    }
}
