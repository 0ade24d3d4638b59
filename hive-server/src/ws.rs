//! WebSockets: the links of satellites, and the viewers of sessions.

mod agent;
mod close;
mod link;
mod origin;
mod session;
mod socket;
mod viewer;

use axum::Router;
use axum::routing::get;

use crate::state::AppState;

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/ws/agent", get(agent::upgrade)).route("/api/v1/sessions/{id}/attach", get(session::attach))
}
