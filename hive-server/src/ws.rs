//! WebSockets: the links of satellites, and the viewers of sessions.

mod agent;
mod close;
mod link;
mod origin;
mod session;
mod socket;
mod viewer;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use hive_core::access::Permission;
use hive_core::wire::SessionId;
use hive_core::wire::agent::{ToAgent, ToServer};
use hive_core::wire::session::{FromViewer, ToViewer};

use crate::limits::RateClass;
use crate::routes::{Operation, Reach, Routes};
use crate::satellites;
use crate::state::AppState;

/// A request for a WebSocket. A handler takes it as a result, because it answers an unauthenticated caller before it answers a
/// malformed request.
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(crate) fn routes() -> [Routes<AppState>; 2] {
    let of_satellites = Routes::tagged("satellite API").with_errors(satellites::ERRORS).get(
        "/ws/agent",
        agent::upgrade,
        Operation::new("agent_link", "Opens the link of a satellite")
            .description(
                "JSON messages for control, binary frames for data. The satellite speaks first, with a `handshake`.",
            )
            .satellite()
            .socket::<ToServer, ToAgent>(hive_core::wire::agent::SUBPROTOCOL),
    );
    let of_users = Routes::tagged("sessions").get(
        "/api/v1/sessions/{id}/attach",
        session::attach,
        Operation::new("session_attach", "Attaches a viewer to a session")
            .description("JSON messages for control, binary frames for the bytes of the terminal. The viewer speaks first, with an `attach`.")
            .permission(Permission::SessionsOpen, Reach::Session)
            .rate(RateClass::Act)
            .path::<SessionId>("The session.")
            .socket::<FromViewer, ToViewer>(hive_core::wire::session::SUBPROTOCOL),
    );
    [of_satellites, of_users]
}
