//! A hive in this process, and the servers over it.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::HiveError;
use crate::engine::Tasks;

/// A hive in this process. The first call opens it.
pub(crate) struct Embedded {
    /// None for a hive in memory.
    dir: Option<PathBuf>,
    hive: OnceCell<hive_core::Hive>,
    servers: TaskTracker,
    closed: CancellationToken,
    tasks: Tasks,
}

impl Embedded {
    pub(crate) fn new(dir: Option<PathBuf>, tasks: Tasks) -> Self {
        let (servers, closed) = (TaskTracker::new(), CancellationToken::new());
        Self { dir, hive: OnceCell::new(), servers, closed, tasks }
    }

    pub(crate) async fn hive(&self) -> Result<&hive_core::Hive, HiveError> {
        if self.closed.is_cancelled() {
            return Err(HiveError::conflict("this hive was closed; open it again"));
        }
        // A failed attempt, such as a directory in use, leaves the cell empty: the next call tries again.
        let open = async || match &self.dir {
            Some(dir) => hive_core::Hive::builder().data_dir(dir).build().await,
            None => hive_core::Hive::builder().in_memory().build().await,
        };
        Ok(self.hive.get_or_try_init(open).await?)
    }

    /// Starts a server, which runs until the hive is closed. Returns the address that it listens on.
    pub(crate) async fn serve(&self, listen: SocketAddr) -> Result<SocketAddr, HiveError> {
        let config = hive_server::Config { listen, ..hive_server::Config::default() };
        let server = hive_server::Server::bind(config, self.hive().await?.clone()).await.map_err(bind_error)?;
        let (address, closed) = (server.local_addr(), self.closed.clone());
        // A task of the engine, not of the object: `close` waits for it through `servers`.
        drop(self.tasks.start(self.servers.track_future(server.run(closed))));
        Ok(address)
    }

    /// Tells the servers to stop. The hive accepts no further call.
    pub(crate) fn start_closing(&self) {
        self.closed.cancel();
    }

    /// Ends the servers, the links and the hive, and waits for all of them.
    pub(crate) async fn close(&self) {
        self.start_closing();
        self.servers.close();
        // The servers first: they end the links while the hive still takes their last results.
        self.servers.wait().await;
        if let Some(hive) = self.hive.get() {
            hive.shutdown().await;
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.start_closing();
        if let Some(hive) = self.hive.take() {
            // `drop` cannot wait. The task keeps the store open until the last write is done.
            drop(self.tasks.start(async move { hive.shutdown().await }));
        }
    }
}

fn bind_error(error: hive_server::BindError) -> HiveError {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    HiveError::unavailable(format!("{error}{cause}"))
}
