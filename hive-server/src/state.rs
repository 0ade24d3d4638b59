//! What every handler can reach.

use std::net::IpAddr;
use std::sync::Arc;

use hive_core::Hive;
use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Limits};
use crate::error::Failure;

/// The hive, the limits, and what must end with the server. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    hive: Hive,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    handshaking: Arc<Semaphore>,
    links: TaskTracker,
    stopping: CancellationToken,
}

impl AppState {
    /// The state of a server that shows `hive`.
    pub fn new(config: &Config, hive: Hive) -> Self {
        Self(Arc::new(Inner {
            hive,
            limits: config.limits.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            handshaking: Arc::new(Semaphore::new(config.limits.handshaking)),
            links: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// The hive.
    pub fn hive(&self) -> &Hive {
        &self.0.hive
    }

    /// How much is too much.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Cancelled when the server stops: open requests are answered soon, event streams end.
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// The tasks of the satellites' links. They end when the hive ends the links.
    pub fn links(&self) -> &TaskTracker {
        &self.0.links
    }

    /// Lets a caller prove who they are. Asked for when the whole request is here, so that nobody holds a leave by sending
    /// slowly.
    pub(crate) fn admit(&self) -> Result<Admitted, Failure> {
        let leave = self.0.handshaking.clone().try_acquire_owned();
        leave.map(Admitted).map_err(|_| Failure::Overloaded)
    }

    /// When one of the satellites of a stopping server shall come back: each at another time, so that they do not come
    /// all at once.
    pub(crate) fn spread_ms(&self) -> u64 {
        let fraction = u64::from(u16::from_be_bytes(self.hive().source().random()));
        let spread = u64::try_from(self.limits().restart_spread.as_millis()).unwrap_or(u64::MAX);
        spread.saturating_mul(fraction) >> u16::BITS
    }

    pub(crate) fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        self.0.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}

/// The leave to prove who one is, given back when it is dropped.
pub(crate) struct Admitted(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);
