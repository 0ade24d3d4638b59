//! Health endpoints: whether the process lives, and whether requests can be served.
//!
//! Load balancers probe often and unauthenticated callers as often as they like, so the storage is checked at most once a
//! second.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRef, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hive_core::Hive;
use hive_core::hive::DiskLevel;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits::{UnauthenticatedConnection, lock};
use crate::routes::{Operation, Routes};
use hive_core::wire::escape::error_chain;

/// How long a result is served from the cache.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// How long the storage may take to answer.
const STORAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// Checks whether requests can be served. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HealthCheck(Arc<HealthInner>);

struct HealthInner {
    hive: Hive,
    draining: CancellationToken,
    cache: HealthCache,
}

impl HealthCheck {
    pub(crate) fn new(hive: Hive, draining: CancellationToken) -> Self {
        Self(Arc::new(HealthInner { hive, draining, cache: HealthCache::default() }))
    }

    /// Returns why requests cannot be served; `None` if they can.
    async fn problem(&self) -> Option<String> {
        if self.0.draining.is_cancelled() {
            return Some("the server is stopping".to_owned());
        }
        if let Some(cached) = self.0.cache.get(Instant::now()) {
            return cached.problem;
        }
        let problem = match timeout(STORAGE_TIMEOUT, self.0.hive.check_ready()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::debug!(cause = %error_chain(&error), "the storage is unavailable");
                Some(error.to_wire().message)
            }
            Err(_) => Some("the storage does not answer in time".to_owned()),
        };
        self.0.cache.put(CachedHealth { at: Instant::now(), problem: problem.clone() });
        problem
    }
}

/// The last result.
#[derive(Default)]
struct HealthCache(Mutex<Option<CachedHealth>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct CachedHealth {
    at: Instant,
    /// Why requests cannot be served; `None` if they can.
    problem: Option<String>,
}

impl HealthCache {
    /// Stores a result, and logs it if it differs from the one before.
    fn put(&self, health: CachedHealth) {
        let mut last = lock(&self.0);
        let before = last.as_ref().and_then(|health| health.problem.clone());
        match &health.problem {
            Some(problem) if before.as_ref() != Some(problem) => {
                tracing::warn!(reason = %problem, "the server is not ready");
            }
            None if before.is_some() => tracing::info!("the server is ready again"),
            _ => {}
        }
        *last = Some(health);
    }

    /// Returns the last result while it is fresh. The first caller after that gets `None` and has to check.
    fn get(&self, now: Instant) -> Option<CachedHealth> {
        let mut last = lock(&self.0);
        let health = last.as_mut()?;
        if now < health.at + CACHE_TTL {
            return Some(health.clone());
        }
        // Extends the old result, so that other callers get it at once instead of waiting for this check too.
        health.at = now;
        None
    }
}

pub(crate) fn routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    HealthCheck: FromRef<S>,
{
    let alive_at = |id, summary| Operation::new(id, summary).answer_bare::<Health>(200, "The process lives.");
    Routes::tagged("health")
        .get("/health", alive, alive_at("health", "Says that the process lives"))
        .get("/health/live", alive, alive_at("health_live", "Says that the process lives, as `/health`"))
        .get("/api/health", alive, alive_at("api_health", "Says that the process lives, as `/health`"))
        .get(
            "/health/ready",
            ready,
            Operation::new("health_ready", "Says whether requests can be served")
                .answer_bare::<Health>(200, "They can.")
                .answer_bare::<Health>(503, "They cannot, with the reason."),
        )
}

/// The state of the server.
#[derive(Serialize, utoipa::ToSchema)]
struct Health {
    /// How full the disk of the database is, where it is filling up.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<&'static str>,
    /// Why requests cannot be served.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// `ok` or `unavailable`.
    status: &'static str,
}

/// Answers a probe whatever the number of unauthenticated connections, because a load balancer takes a server that does not
/// answer for dead. The connection is closed after the response, so that probing does not avoid the limits.
pub(crate) async fn exempt_from_limits(request: Request, next: Next) -> Response {
    let Some(connection) = request.extensions().get::<UnauthenticatedConnection>().cloned() else {
        return next.run(request).await;
    };
    connection.mark_authenticated();
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn alive() -> Json<Health> {
    Json(Health { status: "ok", reason: None, disk: None })
}

/// Ready: the storage answers, its disk accepts writes, and the server is not stopping. The reason holds no causes, because
/// unauthenticated callers see it.
async fn ready(State(health): State<HealthCheck>) -> (StatusCode, Json<Health>) {
    match health.problem().await {
        // Reads, results and sessions go on: the server stays in use while its disk fills up, and says that it does.
        None => {
            let level = health.0.hive.disk_level();
            let disk = (level != DiskLevel::Enough).then(|| level.as_str());
            (StatusCode::OK, Json(Health { status: "ok", reason: None, disk }))
        }
        Some(reason) => {
            let health = Health { status: "unavailable", reason: Some(reason), disk: None };
            (StatusCode::SERVICE_UNAVAILABLE, Json(health))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_checks_and_the_others_get_the_last_result() {
        let now = Instant::now();
        let full = || Some("the disk is full".to_owned());
        let cache = HealthCache::default();
        assert_eq!(cache.get(now), None);
        cache.put(CachedHealth { at: now, problem: full() });
        assert_eq!(cache.get(now).unwrap().problem, full());
        let later = now + CACHE_TTL;
        assert_eq!(cache.get(later), None);
        assert_eq!(cache.get(later).unwrap().problem, full());
    }
}
