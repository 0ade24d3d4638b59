//! The messages of the UI socket `/ws/ui`: JSON text, events for the client and actions of it.
//!
//! A message for the client is one of [`SatelliteEvent`], [`UiEvent`] and [`ActionResult`], told apart by `event`. Events of a kind
//! that a client does not know are to be ignored. An action is strict: a name or a field that the server does not know is refused.

mod action;

use serde::{Deserialize, Serialize};

use crate::agent::Metrics;
use crate::api::{
    ApiError, CommandStatus, EndReason, JobCounts, JobStatus, PlatformRole, Satellite, SatelliteEvent, Session, Size,
};
use crate::code::ErrorBody;
use crate::{CommandId, JobId, SatelliteId, SessionId, Timestamp};

pub use action::{
    SatelliteSelector, SessionAttachAction, SessionCloseAction, SessionInputAction, SessionResizeAction,
    SessionThrottleAction, SubscriptionChange, UiAction, UiRequest,
};

/// The most satellites of one message: a page of the initial state, or metrics.
pub const MAX_SATELLITES: usize = 500;
/// The most bytes of an action. A longer one is refused, and the socket stays open.
pub const MAX_ACTION: usize = 128 * 1024;
/// The most bytes of a WebSocket message from a client. With more, the socket is closed.
pub const MAX_MESSAGE: usize = 256 * 1024;
/// The most characters of a `request_id`.
pub const MAX_REQUEST_ID: usize = 128;
/// The most satellites that one socket may subscribe to by their ids.
pub const MAX_SUBSCRIBED: usize = 10_000;
/// The most sessions that one socket may have attached.
pub const MAX_ATTACHED: usize = 32;
/// The most bytes that `session:input` types at once.
pub const MAX_INPUT: usize = 64 * 1024;
/// The shortest time between two messages with metrics, commands or jobs for one socket, in milliseconds.
pub const STATE_INTERVAL_MS: u64 = 250;
/// The shortest time between two `satellites:changed` for one socket, in milliseconds.
pub const CHANGED_INTERVAL_MS: u64 = 1_000;

/// The query of `GET /ws/ui`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct UiQuery {
    /// A JWT, where the client cannot send headers. URLs end up in logs: a header is preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The satellites that come first, and of which the socket hears without subscribing: all, or none.
    pub initial: InitialSatellites,
}

impl std::fmt::Debug for UiQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UiQuery").field("initial", &self.initial).finish_non_exhaustive()
    }
}

/// The satellites of which a socket hears without subscribing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum InitialSatellites {
    /// All that the caller may see.
    #[default]
    All,
    /// None: the client reads them by REST, and subscribes to those that it shows.
    None,
}

/// Who has opened the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UiUser {
    /// The id of the user; of the credential, where it belongs to no user.
    pub id: String,
    /// The login name, or the name of the credential.
    pub name: String,
    /// The email address; empty where none is known.
    pub email: String,
    /// The platform role.
    pub roles: Vec<PlatformRole>,
}

/// One page of the initial state. Satellites come in the order of their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InitialState {
    /// At most [`MAX_SATELLITES`] satellites. None with `?initial=none`.
    pub satellites: Vec<Satellite>,
    /// The caller.
    pub user: UiUser,
    /// Whether another page follows.
    pub more: bool,
    /// The version of the server.
    pub version: String,
}

/// The number of satellites that a client may see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SatelliteCounts {
    /// All of them.
    pub total: u64,
    /// Those that have a link now.
    pub online: u64,
}

/// The state of the machine of one satellite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SatelliteMetrics {
    /// The satellite.
    pub id: SatelliteId,
    /// When the hive received them.
    pub at: Timestamp,
    /// What the satellite reports.
    pub metrics: Metrics,
}

/// An event for the client that is not one of a satellite's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", content = "data")]
#[non_exhaustive]
pub enum UiEvent {
    /// The first messages of a socket.
    #[serde(rename = "initial_state")]
    InitialState(Box<InitialState>),
    /// Satellites that the client has not subscribed to have changed. Sent to a socket with `?initial=none`, at most once a second.
    #[serde(rename = "satellites:changed")]
    SatellitesChanged {
        /// How many there are now.
        counts: SatelliteCounts,
    },
    /// The metrics of one satellite.
    #[serde(rename = "satellite:metrics")]
    Metrics(SatelliteMetrics),
    /// The metrics of several satellites, where they are due at the same moment.
    #[serde(rename = "satellites:metrics")]
    MetricsOfSeveral {
        /// At most [`MAX_SATELLITES`].
        satellites: Vec<SatelliteMetrics>,
    },
    /// A session was opened.
    #[serde(rename = "session:started")]
    SessionStarted {
        /// The session.
        session_id: SessionId,
        /// Its satellite.
        satellite_id: SatelliteId,
        /// When it was opened.
        created_at: Timestamp,
    },
    /// Output of a session that this socket has attached.
    #[serde(rename = "session:output")]
    SessionOutput {
        /// The session.
        session_id: SessionId,
        /// The bytes, as base64. At most 64 KiB.
        output: String,
    },
    /// Output of an attached session was left out, because it is not kept any more or the socket was too slow. The client clears
    /// its screen.
    #[serde(rename = "session:reset")]
    SessionReset {
        /// The session.
        session_id: SessionId,
        /// Escape sequences that set a fresh terminal to the modes of this one, as base64.
        modes: String,
    },
    /// A session is not attached any more, although it goes on.
    #[serde(rename = "session:detached")]
    SessionDetached {
        /// The session.
        session_id: SessionId,
        /// Why.
        error: ApiError,
    },
    /// The keyboard of an attached session has another holder, or none.
    #[serde(rename = "session:control")]
    SessionControl {
        /// The session.
        session_id: SessionId,
        /// Whether this socket may type.
        is_mine: bool,
        /// The name of the viewer that may type, for people.
        holder: Option<String>,
    },
    /// The size of an attached session has changed.
    #[serde(rename = "session:resized")]
    SessionResized {
        /// The session.
        session_id: SessionId,
        /// Its size.
        #[serde(flatten)]
        size: Size,
    },
    /// The satellite of an attached session lost its link, or has one again. The session continues.
    #[serde(rename = "session:link")]
    SessionLink {
        /// The session.
        session_id: SessionId,
        /// Whether there is a link.
        online: bool,
    },
    /// A session has ended. An attached one has sent all of its output before.
    #[serde(rename = "session:ended")]
    SessionEnded {
        /// The session.
        session_id: SessionId,
        /// Why.
        reason: EndReason,
        /// The program's exit code, 128 + the number where a signal ended it.
        exit_code: Option<i32>,
        /// What went wrong, where it could not be opened or was lost, or the socket may not attach it any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ErrorBody>,
    },
    /// The status of a command has changed. Sent for satellites that the client has subscribed to. Statuses in between may be left
    /// out. Its job is not named: it may be hidden from who sees the satellite.
    #[serde(rename = "command:updated")]
    CommandUpdated {
        /// The command.
        id: CommandId,
        /// Its satellite.
        satellite_id: SatelliteId,
        /// Its status.
        status: CommandStatus,
        /// The exit code, after the end.
        exit_code: Option<i32>,
    },
    /// A job is further. Counts in between may be left out.
    #[serde(rename = "job:progress")]
    JobProgress {
        /// The job.
        id: JobId,
        /// Its status.
        status: JobStatus,
        /// The number of its targets by status.
        counts: JobCounts,
    },
    /// The client sends faster than the hive takes it. What was refused may be sent again after the delay.
    #[serde(rename = "backpressure")]
    Backpressure {
        /// Milliseconds to wait.
        delay_ms: u64,
    },
    /// Events were dropped for this socket, because it was too slow. The client reads again by REST what it shows.
    #[serde(rename = "resync")]
    Resync,
    /// Why the socket is about to be closed.
    #[serde(rename = "error")]
    Error(ApiError),
}

/// What `session:create` and `session:attach` give. The output of the session follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionAttached {
    /// The session.
    pub session_id: SessionId,
    /// Whether this socket may type.
    pub is_mine: bool,
    /// Escape sequences that set a fresh terminal to the modes of this one, as base64.
    pub modes: Option<String>,
    /// The session.
    pub session: Session,
}

/// The answer to an action. One that failed is always answered, and one that succeeded if it has a `request_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionResult {
    /// Always `action:result`.
    pub event: ActionResultKind,
    /// The id of the action, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Whether it succeeded.
    pub success: bool,
    /// What it gave: a [`SessionAttached`] of `session:create` and `session:attach`, otherwise nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
}

/// The `event` of an [`ActionResult`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ActionResultKind {
    /// The only one.
    #[default]
    #[serde(rename = "action:result")]
    ActionResult,
}

impl ActionResult {
    /// The answer to an action that succeeded.
    pub fn success(request_id: String, data: Option<serde_json::Value>) -> Self {
        Self { event: ActionResultKind::ActionResult, request_id: Some(request_id), success: true, data, error: None }
    }

    /// The answer to an action that failed.
    pub fn failure(request_id: Option<String>, error: ApiError) -> Self {
        Self { event: ActionResultKind::ActionResult, request_id, success: false, data: None, error: Some(error) }
    }
}

/// A message for the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum UiMessage {
    /// The answer to an action.
    Result(ActionResult),
    /// An event of the socket, of a session, a command or a job, or metrics.
    Event(UiEvent),
    /// An event of a satellite. Last, because it reads events of every kind.
    Satellite(SatelliteEvent),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_reads_as_its_kind() {
        let read = |text: &str| serde_json::from_str::<UiMessage>(text).unwrap();
        assert_eq!(read(r#"{"event":"resync"}"#), UiMessage::Event(UiEvent::Resync));
        let result = read(r#"{"event":"action:result","request_id":"1","success":true}"#);
        assert_eq!(result, UiMessage::Result(ActionResult::success("1".into(), None)));
        let offline = read(
            r#"{"event":"satellite:offline","data":{"seq":1,"id":"sat_01kge3h900e41861050r3gg28a","last_seen":null}}"#,
        );
        assert!(matches!(offline, UiMessage::Satellite(SatelliteEvent::Offline { .. })), "{offline:?}");
        let newer = read(r#"{"event":"alert:raised","data":{}}"#);
        assert!(matches!(newer, UiMessage::Satellite(SatelliteEvent::Unknown(_))), "{newer:?}");
    }

    #[test]
    fn a_resync_is_an_event_without_data() {
        assert_eq!(serde_json::to_string(&UiEvent::Resync).unwrap(), r#"{"event":"resync"}"#);
    }
}
