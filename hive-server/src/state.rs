//! What every handler can reach.

use std::sync::Arc;

use axum::extract::FromRef;
use hive_core::Hive;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::auth::TrustedProxies;
use crate::config::{Config, Limits};
use crate::health::Readiness;
use crate::limits::Door;

/// The hive, the limits, and what must end with the server. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    hive: Hive,
    limits: Limits,
    trusted_proxies: TrustedProxies,
    door: Arc<Door>,
    readiness: Readiness,
    requests: TaskTracker,
    links: TaskTracker,
    stopping: CancellationToken,
    cutting: CancellationToken,
}

impl AppState {
    /// The state of a server that shows `hive`.
    pub fn new(config: &Config, hive: Hive) -> Self {
        let stopping = CancellationToken::new();
        Self(Arc::new(Inner {
            readiness: Readiness::new(hive.clone(), stopping.clone()),
            hive,
            limits: config.limits.clone(),
            trusted_proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            door: Arc::new(Door::new(&config.limits)),
            requests: TaskTracker::new(),
            links: TaskTracker::new(),
            stopping,
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

    /// The proxies whose `X-Forwarded-For` is believed.
    pub(crate) fn trusted_proxies(&self) -> &TrustedProxies {
        &self.0.trusted_proxies
    }
}

impl FromRef<AppState> for Hive {
    fn from_ref(state: &AppState) -> Self {
        state.0.hive.clone()
    }
}

impl FromRef<AppState> for TrustedProxies {
    fn from_ref(state: &AppState) -> Self {
        state.0.trusted_proxies.clone()
    }
}

impl FromRef<AppState> for Arc<Door> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.0.door)
    }
}

impl FromRef<AppState> for Readiness {
    fn from_ref(state: &AppState) -> Self {
        state.0.readiness.clone()
    }
}
