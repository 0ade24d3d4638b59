//! Where the hive of a [`Hive`](crate::Hive) object runs: behind a URL, or in this process.

use std::sync::Arc;

use hive_core::{HiveApi, RemoteHive};
use secrecy::SecretString;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::HiveError;
#[cfg(feature = "embedded")]
use crate::embedded::Embedded;

/// What carries out the calls of a hive object.
pub(crate) enum Backend {
    /// A remote hive, with an API key.
    Remote(LazyRemote),
    /// A remote hive, with a login.
    LoggedIn(RemoteHive),
    /// A hive in this process.
    #[cfg(feature = "embedded")]
    Embedded(Embedded),
}

impl Backend {
    /// Returns the service traits. The first call opens an embedded hive or makes the client of a remote one.
    pub(crate) async fn api(&self) -> Result<Arc<dyn HiveApi>, HiveError> {
        match self {
            Self::Remote(remote) => Ok(Arc::new(remote.client().await?)),
            Self::LoggedIn(client) => Ok(Arc::new(client.clone())),
            #[cfg(feature = "embedded")]
            // The program owns the data directory, so it acts with all permissions.
            Self::Embedded(embedded) => Ok(Arc::new(embedded.hive().await?.as_system())),
        }
    }

    /// Returns the client of a remote hive.
    pub(crate) async fn remote(&self) -> Result<RemoteHive, HiveError> {
        match self {
            Self::Remote(remote) => remote.client().await,
            Self::LoggedIn(client) => Ok(client.clone()),
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => Err(HiveError::conflict(
                "this is a hive in this process: serve it, and connect to the URL of its server",
            )),
        }
    }

    /// Returns the embedded hive.
    #[cfg(feature = "embedded")]
    pub(crate) fn embedded(&self) -> Result<&Embedded, HiveError> {
        match self {
            Self::Embedded(embedded) => Ok(embedded),
            Self::Remote(_) | Self::LoggedIn(_) => {
                Err(HiveError::conflict("this is a remote hive: only a hive in this process can do that"))
            }
        }
    }

    /// Closes an embedded hive and waits for its end. A remote hive keeps running.
    pub(crate) async fn close(&self) {
        match self {
            Self::Remote(_) | Self::LoggedIn(_) => {}
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.close().await,
        }
    }
}

/// A remote hive whose client is made by the first call.
pub(crate) struct LazyRemote {
    url: String,
    api_key: SecretString,
    client: OnceCell<RemoteHive>,
}

impl LazyRemote {
    pub(crate) fn new(url: String, api_key: String) -> Self {
        Self { url, api_key: api_key.into(), client: OnceCell::new() }
    }

    async fn client(&self) -> Result<RemoteHive, HiveError> {
        let connect = async || {
            let (url, api_key) = (self.url.clone(), self.api_key.clone());
            // Making a client reads the certificates of the machine from disk. That may not happen in `Hive::connect`, which
            // runs on the thread of an event loop.
            let connecting = spawn_blocking(move || RemoteHive::connect(&url, api_key));
            connecting.await.map_err(|error| HiveError::internal(error.to_string()))?.map_err(HiveError::from)
        };
        // A failed attempt leaves the cell empty, and the next call tries again.
        self.client.get_or_try_init(connect).await.cloned()
    }
}
