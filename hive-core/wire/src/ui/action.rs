//! What a client of the UI socket may ask for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::SessionCreate;
use crate::session::ViewMode;
use crate::{SatelliteId, SessionId};

/// One message of a client: an action, and the id under which it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UiRequest {
    /// Comes back with the answer. At most [`MAX_REQUEST_ID`](super::MAX_REQUEST_ID) characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 128))]
    pub request_id: Option<String>,
    /// What is asked for.
    #[serde(flatten)]
    pub action: UiAction,
}

/// An action of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "action", content = "data")]
#[non_exhaustive]
pub enum UiAction {
    /// Opens a session, and attaches it to this socket.
    #[serde(rename = "session:create")]
    SessionCreate(SessionCreate),
    /// Attaches a session to this socket: its output follows.
    #[serde(rename = "session:attach")]
    SessionAttach(SessionAttachAction),
    /// Types into a session.
    #[serde(rename = "session:input")]
    SessionInput(SessionInputAction),
    /// Changes the size of a session.
    #[serde(rename = "session:resize")]
    SessionResize(SessionResizeAction),
    /// Ends a session with all of its processes.
    #[serde(rename = "session:close")]
    SessionClose(SessionCloseAction),
    /// Holds the output of an attached session back, or lets it go on.
    #[serde(rename = "session:throttle")]
    SessionThrottle(SessionThrottleAction),
    /// Subscribes to satellites: their metrics and commands follow, and with `?initial=none` their other events too.
    #[serde(rename = "subscribe")]
    Subscribe(SubscriptionChange),
    /// Takes back what was subscribed to.
    #[serde(rename = "unsubscribe")]
    Unsubscribe(SubscriptionChange),
}

impl UiAction {
    /// The names of all actions of this version.
    pub const NAMES: [&str; 8] = [
        "session:create",
        "session:attach",
        "session:input",
        "session:resize",
        "session:close",
        "session:throttle",
        "subscribe",
        "unsubscribe",
    ];
}

/// Attaches a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionAttachAction {
    /// The session.
    pub session_id: SessionId,
    /// Whether the socket may type; `control` unless given.
    #[serde(default)]
    pub mode: ViewMode,
    /// The columns of its screen; with `rows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub cols: Option<u16>,
    /// The rows of its screen; with `cols`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub rows: Option<u16>,
}

/// Types into a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionInputAction {
    /// The session.
    pub session_id: SessionId,
    /// The bytes as base64, at most [`MAX_INPUT`](super::MAX_INPUT). May be secret.
    pub input: String,
}

impl fmt::Debug for SessionInputAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // People type passwords.
        f.debug_struct("SessionInputAction").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// Changes the size of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionResizeAction {
    /// The session.
    pub session_id: SessionId,
    /// Columns.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub cols: u16,
    /// Rows.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub rows: u16,
}

/// Ends a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionCloseAction {
    /// The session.
    pub session_id: SessionId,
}

/// Holds the output of an attached session back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionThrottleAction {
    /// The session.
    pub session_id: SessionId,
    /// Whether its output waits.
    pub pause: bool,
}

/// The satellites to subscribe to, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubscriptionChange {
    /// Ids, or `*` for all. `*` is an entry of its own: taking back an id leaves it.
    pub satellites: Vec<SatelliteSelector>,
}

/// One satellite, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SatelliteSelector {
    /// All that the caller may see.
    All,
    /// This one.
    One(SatelliteId),
}

impl fmt::Display for SatelliteSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::One(id) => id.fmt(f),
        }
    }
}

impl FromStr for SatelliteSelector {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::All);
        }
        text.parse().map(Self::One).map_err(|_| "must be the id of a satellite, or *")
    }
}

impl Serialize for SatelliteSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SatelliteSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    SatelliteSelector => crate::schema::text()
        .description(Some("The id of a satellite, or `*` for all that the caller may see."))
        .examples(["*", "sat_01kge3h900e41861050r3gg28a"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_named() {
        let read = |name: &str| serde_json::from_value::<UiAction>(serde_json::json!({ "action": name }));
        for name in UiAction::NAMES {
            let error = read(name).unwrap_err().to_string();
            assert!(error.contains("data"), "{name} is known, and its data is missing: {error}");
        }
        let error = read("other").unwrap_err().to_string();
        let listed = UiAction::NAMES.map(|name| format!("`{name}`")).join(", ");
        assert!(error.contains(&listed), "{error}");
    }

    #[test]
    fn a_selector_is_an_id_or_a_star() {
        let check = |text: &str, is_read: bool| {
            let read = text.parse::<SatelliteSelector>();
            assert_eq!(read.map(|selector| selector.to_string()).ok(), is_read.then(|| text.to_owned()), "{text}");
        };
        check("*", true);
        check("sat_01kge3h900e41861050r3gg28a", true);
        check("", false);
        check("**", false);
        check("web-server-01", false);
    }

    #[test]
    fn input_is_not_printed() {
        let id = "sess_01kge3h900e41861050r3gg28a".parse().unwrap();
        let action = UiAction::SessionInput(SessionInputAction { session_id: id, input: "c2VjcmV0".into() });
        assert!(!format!("{action:?}").contains("c2VjcmV0"));
    }
}
