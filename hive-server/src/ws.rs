//! WebSockets: the links of satellites, the viewers of sessions, and the user interfaces.

mod agent;
mod close;
mod link;
mod origin;
mod outbox;
mod ping_schedule;
mod session;
mod socket;
mod ui;
mod viewer;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use hive_core::access::Permission;
use hive_core::wire::ErrorCode;
use hive_core::wire::SessionId;
use hive_core::wire::agent::{ToAgent, ToServer};
use hive_core::wire::session::{FromViewer, ToViewer};
use hive_core::wire::ui::{UiMessage, UiQuery, UiRequest};

use crate::limits::RateClass;
use crate::routes::{Operation, Reach, Routes};
use crate::satellites;
use crate::state::AppState;

/// A request for a WebSocket. A handler takes it as a result, because it answers an unauthenticated caller before it answers a
/// malformed request.
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(crate) fn routes() -> [Routes<AppState>; 3] {
    let of_satellites = Routes::tagged("satellite API").with_errors(satellites::ERRORS).get(
        "/ws/agent",
        agent::upgrade,
        Operation::new("agent_link", "Opens the link of a satellite")
            .description(
                "JSON messages for control, binary frames for data. The satellite speaks first, with a `handshake`.",
            )
            .satellite()
            .socket::<ToServer, ToAgent>(Some(hive_core::wire::agent::SUBPROTOCOL)),
    );
    let of_users = Routes::tagged("sessions").get(
        "/api/v1/sessions/{id}/attach",
        session::attach,
        Operation::new("session_attach", "Attaches a viewer to a session")
            .description("JSON messages for control, binary frames for the bytes of the terminal. The viewer speaks first, with an `attach`.")
            .permission(Permission::SessionsOpen, Reach::Session)
            .rate(RateClass::Act)
            .path::<SessionId>("The session.")
            .socket::<FromViewer, ToViewer>(Some(hive_core::wire::session::SUBPROTOCOL)),
    );
    let of_interfaces = Routes::tagged("events").get(
        "/ws/ui",
        ui::upgrade,
        Operation::new("ui_socket", "Opens the socket of a user interface")
            .description("JSON text messages. First come the satellites that the caller may see, in pages, then what changes. The caller subscribes to satellites, and works with sessions.")
            .permission(Permission::SatellitesRead, Reach::Visible)
            .query::<UiQuery>()
            .token_in_query()
            .socket::<UiRequest, UiMessage>(None)
            .errors([ErrorCode::Forbidden]),
    );
    [of_satellites, of_users, of_interfaces]
}
