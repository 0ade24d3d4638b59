//! What every handler can reach.

use std::net::IpAddr;
use std::sync::Arc;

use hive_core::Hive;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::{Config, Limits};
use crate::door::Door;
use crate::peer::UnreadableHops;
use crate::readiness::Readiness;

/// The hive, the limits, and what must end with the server. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    hive: Hive,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    unreadable_hops: UnreadableHops,
    door: Door,
    readiness: Readiness,
    requests: TaskTracker,
    links: TaskTracker,
    stopping: CancellationToken,
    cutting: CancellationToken,
}

impl AppState {
    /// The state of a server that shows `hive`.
    pub fn new(config: &Config, hive: Hive) -> Self {
        Self(Arc::new(Inner {
            hive,
            limits: config.limits.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            unreadable_hops: UnreadableHops::default(),
            door: Door::new(&config.limits),
            readiness: Readiness::default(),
            requests: TaskTracker::new(),
            links: TaskTracker::new(),
            stopping: CancellationToken::new(),
            cutting: CancellationToken::new(),
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

    /// Cancelled when the server stops: open requests are answered soon, new ones are refused, event streams end.
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Cancelled when those who called before the stop have their answers, or are not waited for any longer.
    pub(crate) fn cutting(&self) -> &CancellationToken {
        &self.0.cutting
    }

    /// Counts a request as open for as long as the token is held. None where the server stops: it waits for nobody who comes
    /// later.
    pub(crate) fn begin_request(&self) -> Option<TaskTrackerToken> {
        (!self.stopping().is_cancelled()).then(|| self.0.requests.token())
    }

    /// Waits until all who called before the stop have their answers.
    pub(crate) async fn requests_answered(&self) {
        self.0.requests.close();
        self.0.requests.wait().await;
    }

    /// Why calls cannot be served; none where they can.
    pub(crate) async fn obstacle(&self) -> Option<String> {
        if self.stopping().is_cancelled() {
            return Some("the server is stopping".to_owned());
        }
        self.0.readiness.look(self.hive()).await
    }

    /// The tasks of the satellites' links. They end when the hive ends the links.
    pub fn links(&self) -> &TaskTracker {
        &self.0.links
    }

    /// What strangers may take before they have proved who they are.
    pub(crate) fn door(&self) -> &Door {
        &self.0.door
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

    /// Says in the log which proxy's requests are refused.
    pub(crate) fn unreadable_hops(&self) -> &UnreadableHops {
        &self.0.unreadable_hops
    }
}
