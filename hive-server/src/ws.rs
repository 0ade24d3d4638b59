//! WebSockets: the links of satellites, and the viewers of sessions.

mod agent;
mod close;
mod link;
mod origin;
mod session;
mod socket;
mod viewer;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::routing::get;

use crate::state::AppState;

/// A request for a WebSocket. A handler takes it as a result, because it answers an unauthenticated caller before it answers a
/// malformed request.
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/ws/agent", get(agent::upgrade)).route("/api/v1/sessions/{id}/attach", get(session::attach))
}
