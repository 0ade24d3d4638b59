//! WebSockets: the links of satellites.

mod agent;
mod close;
mod link;
mod socket;

use axum::Router;
use axum::routing::get;

use crate::state::AppState;

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/ws/agent", get(agent::upgrade))
}
