//! Whether calls can be served. Asked by load balancers often and by strangers as often as they like, and therefore looked at
//! no more than once a second.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{FromRef, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use hive_core::Hive;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits::Stranger;
use crate::telemetry::with_causes;

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(1);
/// How long the storage may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether calls can be served. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Readiness(Arc<Inner>);

struct Inner {
    hive: Hive,
    stopping: CancellationToken,
    last: LastLook,
}

/// The last answer, and when the storage was asked for it.
#[derive(Default)]
struct LastLook(Mutex<Option<Look>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    at: Instant,
    /// Why calls cannot be served; none where they can.
    obstacle: Option<String>,
}

impl Readiness {
    /// Asks this hive, until its server stops.
    pub(crate) fn new(hive: Hive, stopping: CancellationToken) -> Self {
        Self(Arc::new(Inner { hive, stopping, last: LastLook::default() }))
    }

    /// Why calls cannot be served; none where they can.
    async fn obstacle(&self) -> Option<String> {
        if self.0.stopping.is_cancelled() {
            return Some("the server is stopping".to_owned());
        }
        self.0.last.look(&self.0.hive).await
    }
}

impl LastLook {
    /// Why calls cannot be served, as of a second ago at most; none where they can.
    async fn look(&self, hive: &Hive) -> Option<String> {
        if let Some(look) = self.known(Instant::now()) {
            return look.obstacle;
        }
        let obstacle = match timeout(PATIENCE, hive.check_ready()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::debug!(cause = %with_causes(&error), "the storage cannot be used");
                Some(error.to_wire().message)
            }
            Err(_) => Some("the storage does not answer in time".to_owned()),
        };
        self.note(Look { at: Instant::now(), obstacle: obstacle.clone() });
        obstacle
    }

    /// Keeps an answer, and tells the log where it is another one than before.
    fn note(&self, look: Look) {
        let mut last = self.0.lock().expect("nothing panics while it holds this lock");
        let before = last.as_ref().and_then(|look| look.obstacle.clone());
        match &look.obstacle {
            Some(obstacle) if before.as_ref() != Some(obstacle) => {
                tracing::warn!(reason = %obstacle, "the server is not ready");
            }
            None if before.is_some() => tracing::info!("the server is ready again"),
            _ => {}
        }
        *last = Some(look);
    }

    /// The last answer where it still counts. Where it does not, it counts once more for all but the one who asks now: that
    /// one looks, and the others are not kept waiting.
    fn known(&self, now: Instant) -> Option<Look> {
        let mut last = self.0.lock().expect("nothing panics while it holds this lock");
        let look = last.as_mut()?;
        if now < look.at + FRESH {
            return Some(look.clone());
        }
        look.at = now;
        None
    }
}

pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Readiness: FromRef<S>,
{
    Router::new()
        .route("/health", get(alive))
        .route("/health/live", get(alive))
        .route("/api/health", get(alive))
        .route("/health/ready", get(ready))
        .layer(from_fn(at_once))
}

/// Answers a probe however many stand at the door: a balancer that hears nothing takes the server for dead. The connection
/// ends with the answer, so that no stranger stays for having asked.
async fn at_once(request: Request, next: Next) -> Response {
    let Some(stranger) = request.extensions().get::<Stranger>().cloned() else {
        return next.run(request).await;
    };
    stranger.is_known_now();
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Whether calls can be served: the storage answers, its disk takes what is written, and the server is not about to stop.
/// The reason is in words of ours; causes are for the log.
async fn ready(State(readiness): State<Readiness>) -> (StatusCode, Json<Value>) {
    match readiness.obstacle().await {
        None => (StatusCode::OK, alive().await),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable", "reason": reason }))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_looks_and_the_others_take_the_answer_before() {
        let now = Instant::now();
        let full = || Some("the disk is full".to_owned());
        let last = LastLook::default();
        assert_eq!(last.known(now), None);
        last.note(Look { at: now, obstacle: full() });
        assert_eq!(last.known(now).unwrap().obstacle, full());
        let later = now + FRESH;
        assert_eq!(last.known(later), None);
        assert_eq!(last.known(later).unwrap().obstacle, full());
    }
}
