//! A hive elsewhere: the service traits over its REST interface.
//!
//! [`RemoteHive`] is to a program on another machine what [`ActingHive`](crate::ActingHive) is inside the hive's own
//! process. It acts as the owner of its API key; who may do what is decided on the other side. The parts:
//!
//! - `transport` sends requests and reads bounded answers, `tls` says whom it trusts, `unreachable` what was in the way;
//! - `registry`, `router`, `job`, `session`, `audit` and `identity` implement one trait each;
//! - `stream` turns a body that does not end into a [`Subscription`](crate::Subscription), cut up by `lines` and `sse`;
//! - `websocket` opens a socket, `attachment` is a terminal's viewer on one, `idle_timer` tells when
//!   the hive is gone.

mod attachment;
mod audit;
mod identity;
mod idle_timer;
mod job;
mod lines;
mod registry;
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

use hive_wire::Timestamp;
use hive_wire::api::{LoginRequest, LoginResponse};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::task::TaskTracker;

use crate::{AuditLogger, CommandRouter, DeviceRegistry, HiveApi, Identity, JobManager, Result, SessionManager};
use transport::{RemoteCredential, Transport};
pub use unreachable::{Obstacle, Unreachable};

/// A hive that is reached over HTTP.
///
/// Clones share their connections. Nothing that may have run is sent twice, except with an idempotency key. A hive that
/// cannot be reached is [`Error::Unavailable`](crate::Error::Unavailable), with an [`Unreachable`] as its source.
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

/// The services over one transport. The accessors of [`RemoteHive`] give it away.
#[derive(Debug, Clone)]
struct Client {
    transport: Arc<Transport>,
    /// Readers of endless answers. Each ends when its subscription is dropped.
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
    /// Names a hive by its URL and acts on it with an API key. Nothing is sent yet. White space around the key, such as the end
    /// of a line of the file that it was read from, is left out.
    pub fn connect(url: &str, api_key: SecretString) -> Result<Self> {
        Self::new(url, RemoteCredential::ApiKey(api_key.expose_secret().trim().into()))
    }

    /// Logs in with a password. The hive acts as that user until the login ends.
    pub async fn login(url: &str, request: LoginRequest) -> Result<(Self, LoginResponse)> {
        let answer: LoginResponse = {
            let stranger = Transport::new(url, RemoteCredential::None)?;
            stranger.fetch(stranger.post(&["api", "v1", "auth", "login"]).json(&request)).await?
        };
        let hive = Self::new(url, RemoteCredential::Login(answer.token.clone().into()))?;
        Ok((hive, answer))
    }

    /// The hive's URL.
    pub fn url(&self) -> &str {
        self.client.transport.base()
    }

    /// Asks what time it is at the hive, to the second.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be reached, `Other` where the answer does not tell.
    pub async fn time(&self) -> Result<Timestamp> {
        self.client.transport.time().await
    }

    fn new(url: &str, credential: RemoteCredential) -> Result<Self> {
        let transport = Transport::new(url, credential)?;
        Ok(Self { client: Arc::new(Client { transport: Arc::new(transport), readers: TaskTracker::new() }) })
    }
}
