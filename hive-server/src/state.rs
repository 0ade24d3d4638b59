//! The shared state of all handlers.

use std::sync::Arc;

use axum::extract::FromRef;
use hive_core::Hive;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::auth::TrustedProxies;
use crate::config::{Config, Limits};
use crate::health::HealthCheck;
use crate::limits::{Limiters, RefusedCalls};
use crate::origins::OwnOrigins;

/// The hive, the limits of the server, and the progress of its shutdown. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<StateInner>);

struct StateInner {
    hive: Hive,
    limits: Limits,
    limiters: Arc<Limiters>,
    trusted_proxies: TrustedProxies,
    origins: OwnOrigins,
    health: HealthCheck,
    requests: TaskTracker,
    links: TaskTracker,
    draining: CancellationToken,
    force_close: CancellationToken,
}

impl AppState {
    /// The state of a server for `hive`.
    pub fn new(config: &Config, hive: Hive) -> Self {
        let draining = CancellationToken::new();
        Self(Arc::new(StateInner {
            health: HealthCheck::new(hive.clone(), draining.clone()),
            origins: OwnOrigins::new(&hive.settings().external_url, &config.origins, config.listen),
            hive,
            limits: config.limits.clone(),
            limiters: Arc::new(Limiters::new(&config.limits)),
            trusted_proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            requests: TaskTracker::new(),
            links: TaskTracker::new(),
            draining,
            force_close: CancellationToken::new(),
        }))
    }

    /// The hive.
    pub fn hive(&self) -> &Hive {
        &self.0.hive
    }

    /// The configured limits.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Cancelled when the server begins to stop: open requests are answered soon, changes are refused and event streams
    /// end.
    pub fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    /// Cancelled when all requests of before the shutdown are answered, or their grace period is over.
    pub(crate) fn force_close(&self) -> &CancellationToken {
        &self.0.force_close
    }

    /// Counts a request as open while the token is held. `None` if the server is draining: it waits only for requests of
    /// before the shutdown.
    pub(crate) fn begin_request(&self) -> Option<TaskTrackerToken> {
        (!self.draining().is_cancelled()).then(|| self.0.requests.token())
    }

    /// Waits until all requests of before the shutdown are answered.
    pub(crate) async fn requests_answered(&self) {
        self.0.requests.close();
        self.0.requests.wait().await;
    }

    /// The tasks of open links and viewers. They end when the hive ends the links.
    pub fn links(&self) -> &TaskTracker {
        &self.0.links
    }

    /// The limits on unauthenticated callers, as they are used up now.
    pub(crate) fn limiters(&self) -> &Limiters {
        &self.0.limiters
    }

    /// Returns how many calls were refused since the start, because a caller was over a rate.
    pub fn refused_calls(&self) -> Vec<RefusedCalls> {
        self.limiters().requests.refused()
    }

    /// The proxies whose `X-Forwarded-For` is trusted.
    pub(crate) fn trusted_proxies(&self) -> &TrustedProxies {
        &self.0.trusted_proxies
    }

    /// A random delay after which a satellite of a stopping server shall reconnect, so that not all satellites reconnect at
    /// the same moment.
    pub(crate) fn reconnect_jitter_ms(&self) -> u64 {
        let fraction = u64::from(u16::from_be_bytes(self.hive().source().random()));
        let longest = u64::try_from(self.limits().reconnect_jitter.as_millis()).unwrap_or(u64::MAX);
        longest.saturating_mul(fraction) >> u16::BITS
    }
}

// What extractors need of the state. They name it by type, so that `auth` and `health` do not depend on this module.

impl FromRef<AppState> for Hive {
    fn from_ref(state: &AppState) -> Self {
        state.0.hive.clone()
    }
}

impl FromRef<AppState> for Arc<Limiters> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.0.limiters)
    }
}

impl FromRef<AppState> for TrustedProxies {
    fn from_ref(state: &AppState) -> Self {
        state.0.trusted_proxies.clone()
    }
}

impl FromRef<AppState> for OwnOrigins {
    fn from_ref(state: &AppState) -> Self {
        state.0.origins.clone()
    }
}

impl FromRef<AppState> for HealthCheck {
    fn from_ref(state: &AppState) -> Self {
        state.0.health.clone()
    }
}
