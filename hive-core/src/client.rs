//! The remote implementation of the service traits, over the REST API of a hive.
//!
//! [`RemoteHive`] is for programs on other machines what [`ActingHive`](crate::ActingHive) is in the hive's own process. It
//! acts as the owner of its API key, and the hive checks the permissions. The modules:
//!
//! - `transport` sends requests and reads bounded answers. `tls` configures TLS. `unreachable` classifies connection errors;
//! - `request` calls any path, for what the traits do not have;
//! - `registry`, `router`, `job`, `groups`, `session`, `audit` and `identity` implement one trait each;
//! - `stream` turns an endless body into a [`Subscription`](crate::Subscription). `lines` and `sse` split it;
//! - `websocket` opens a socket. `attachment` is a viewer of a session on one. `idle_timer` detects a silent hive.

mod attachment;
mod audit;
mod groups;
mod identity;
mod idle_timer;
mod job;
mod lines;
mod registry;
mod request;
mod router;
mod session;
mod sse;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod unreachable;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use hive_wire::Timestamp;
use hive_wire::api::{LoginRequest, LoginResponse};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::task::TaskTracker;

use crate::{
    AuditLogger, CommandRouter, DeviceRegistry, GroupManager, HiveApi, Identity, JobManager, Result, SessionManager,
};
pub use request::{ApiRequest, ApiResponse};
use transport::{RemoteCredential, Transport};
pub use unreachable::{Obstacle, Unreachable};

/// A hive that is reached over HTTP.
///
/// Clones share their connections. A request that may have been executed is sent again only if it reads or has an idempotency
/// key. If the hive cannot be reached, the error is [`Error::Unavailable`](crate::Error::Unavailable) with an [`Unreachable`]
/// as its source.
///
/// ```no_run
/// # async fn list() -> hive_core::Result<()> {
/// use hive_core::RemoteHive;
///
/// let hive = RemoteHive::connect("http://127.0.0.1:3000", "hive_key_…".into())?;
/// for satellite in hive.satellites().list(Default::default(), Default::default()).await?.items {
///     assert!(!satellite.name.as_str().is_empty());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RemoteHive {
    client: Arc<Client>,
}

/// The services over one transport, as the accessors of [`RemoteHive`] return them.
#[derive(Debug, Clone)]
struct Client {
    transport: Arc<Transport>,
    /// The tasks that read endless answers. Each ends when its subscription is dropped.
    readers: TaskTracker,
}

impl crate::sealed::Sealed for RemoteHive {}

impl HiveApi for RemoteHive {
    fn satellites(&self) -> Arc<dyn DeviceRegistry> {
        self.client.clone()
    }

    fn commands(&self) -> Arc<dyn CommandRouter> {
        self.client.clone()
    }

    fn jobs(&self) -> Arc<dyn JobManager> {
        self.client.clone()
    }

    fn groups(&self) -> Arc<dyn GroupManager> {
        self.client.clone()
    }

    fn sessions(&self) -> Arc<dyn SessionManager> {
        self.client.clone()
    }

    fn audit(&self) -> Arc<dyn AuditLogger> {
        self.client.clone()
    }

    fn identity(&self) -> Arc<dyn Identity> {
        self.client.clone()
    }
}

accessors!(RemoteHive);

impl RemoteHive {
    /// Creates a client for the hive at a URL, with an API key. Nothing is sent yet. White space around the key is removed, such
    /// as the line end of the file that it was read from.
    pub fn connect(url: &str, api_key: SecretString) -> Result<Self> {
        Self::new(url, RemoteCredential::ApiKey(api_key.expose_secret().trim().into()))
    }

    /// Logs in with a password. The hive acts as that user until the login ends.
    pub async fn login(url: &str, request: LoginRequest) -> Result<(Self, LoginResponse)> {
        let answer: LoginResponse = {
            // A transport of its own, because the credential of a transport never changes.
            let stranger = Transport::new(url, RemoteCredential::None)?;
            stranger.fetch(stranger.post(&["api", "v1", "auth", "login"]).json(&request)).await?
        };
        let hive = Self::new(url, RemoteCredential::Login(answer.token.clone().into()))?;
        Ok((hive, answer))
    }

    /// The same client, whose calls wait where the hive refuses them by a rate (429 with `Retry-After`), or because the first call
    /// with their idempotency key still runs, and are sent again: up to this long in all for a call. Without it they fail at once
    /// with `RateLimited` or `KeyConflict`.
    #[must_use]
    pub fn with_rate_limit_wait(self, longest: Duration) -> Self {
        let transport = Transport::clone(&self.client.transport).with_rate_limit_wait(longest);
        Self { client: Arc::new(Client { transport: Arc::new(transport), readers: self.client.readers.clone() }) }
    }

    /// Returns the hive's URL.
    pub fn url(&self) -> &str {
        self.client.transport.base()
    }

    /// Returns the hive's time of day, to the second.
    ///
    /// # Errors
    /// `Unavailable` if the hive cannot be reached, `Other` if its answer contains no time.
    pub async fn time(&self) -> Result<Timestamp> {
        self.client.transport.time().await
    }

    fn new(url: &str, credential: RemoteCredential) -> Result<Self> {
        let transport = Transport::new(url, credential)?;
        Ok(Self { client: Arc::new(Client { transport: Arc::new(transport), readers: TaskTracker::new() }) })
    }
}
