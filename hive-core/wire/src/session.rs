//! The messages between a server and a viewer of a session: JSON text for control, binary [`frame`](crate::frame)s of
//! stream 0 for the bytes of the terminal.
//!
//! Output and input count their bytes from the beginning of the session. A viewer that reconnects says which bytes it
//! has, and gets the rest. One viewer at a time is the *writer*: only its input is accepted, and the terminal waits for
//! it if it reads slowly. All others only read, and delay nobody.

use serde::{Deserialize, Serialize};

use crate::ViewerId;
use crate::api::{ApiError, Session, SessionEnd, Size};
use crate::frame::StreamId;
use crate::open_enum;

/// The WebSocket sub-protocol.
pub const SUBPROTOCOL: &str = "hive.session.v1";
/// The stream of a terminal's bytes, both ways.
pub const STREAM: StreamId = StreamId(0);
/// Bytes of input that may be in flight to a terminal. More input waits at the viewer.
pub const INPUT_WINDOW: u64 = 64 * 1024;
/// Bytes of output a hive keeps of each terminal.
pub const SCROLLBACK: usize = 1024 * 1024;

open_enum! {
    /// The mode of a viewer.
    #[derive(Default)]
    pub enum ViewMode {
        /// Takes the keyboard if it is free. Otherwise it reads, and may request the keyboard.
        #[default]
        Control = "control",
        /// Takes the keyboard from the viewer that has it.
        Take = "take",
        /// Reads, and never types.
        ReadOnly = "read_only",
    }
}

/// The first message of a viewer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct AttachRequest {
    /// The id of a viewer that reconnects; none for a new viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer: Option<ViewerId>,
    /// The number of bytes of output it has, which is the offset of the next one. Without it, the current screen is
    /// sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Its mode.
    pub mode: ViewMode,
    /// The size of its screen. The terminal takes the size of the writer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
}

/// A message from a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FromViewer {
    /// The first message.
    Attach(AttachRequest),
    /// All output before this offset is on its screen.
    Ack {
        /// The offset.
        offset: u64,
    },
    /// The size of its screen has changed. Only the size of the writer counts.
    Resize(Size),
    /// The viewer requests the keyboard from the writer.
    RequestControl,
    /// The writer gives the keyboard to another viewer.
    GrantControl {
        /// The viewer that gets it, by the number in its request.
        to: u32,
    },
    /// The viewer takes the keyboard.
    TakeControl,
    /// The writer releases the keyboard.
    ReleaseControl,
    /// A message of a newer version.
    #[serde(other)]
    Unknown,
}

/// A message to a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToViewer {
    /// The viewer is attached. This is the first message.
    Attached(Box<Attached>),
    /// Output that is not kept any more.
    Gap {
        /// The first missing byte.
        from: u64,
        /// The first byte that follows.
        to: u64,
    },
    /// The viewer was too slow, and output was left out. It clears its screen and continues at `output`.
    Reset {
        /// The offset of the next byte.
        output: u64,
        /// Escape sequences that set a fresh terminal to the modes of this one. The viewer writes them after a full
        /// reset.
        modes: String,
    },
    /// The satellite has written all input before this offset to the terminal.
    Applied {
        /// The offset.
        offset: u64,
    },
    /// The size of the terminal has changed.
    Resized(Size),
    /// The keyboard has another owner, or none.
    Control(Control),
    /// Another viewer requests the keyboard from this one, which is the writer.
    ControlRequested {
        /// Its number within the session.
        by: u32,
        /// Its name, for people.
        name: String,
    },
    /// The link of the satellite was lost or restored. The terminal continues.
    Link {
        /// Whether there is a link.
        online: bool,
    },
    /// The program has ended. This is the last message.
    Ended(SessionEnd),
    /// The viewer is refused. This is the last message.
    Error {
        /// Why.
        error: ApiError,
    },
    /// A message of a newer version.
    #[serde(other)]
    Unknown,
}

/// The answer to a viewer's first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attached {
    /// The terminal.
    pub session: Session,
    /// The id of the viewer, for its reconnects.
    pub viewer: ViewerId,
    /// The offset of the first byte of output that follows.
    pub output: u64,
    /// Escape sequences that set a fresh terminal to the modes of this one, if output does not begin at the requested
    /// offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modes: Option<String>,
    /// The state of the keyboard.
    pub control: Control,
    /// Whether this viewer has kept the keyboard since before its reconnect. Then it sends its input from
    /// `control.input` on again, and nobody else has typed meanwhile.
    pub is_resumed: bool,
}

/// The state of the keyboard, as one viewer sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Control {
    /// Whether this viewer has it.
    pub is_mine: bool,
    /// The offset of the next byte of input of this viewer, if it has the keyboard.
    pub input: u64,
    /// The name of the viewer that has it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_newer_version_is_readable() {
        let newer = r#"{"type":"from_the_future","field":1}"#;
        assert_eq!(serde_json::from_str::<ToViewer>(newer).unwrap(), ToViewer::Unknown);
        assert_eq!(serde_json::from_str::<FromViewer>(newer).unwrap(), FromViewer::Unknown);
    }

    #[test]
    fn an_empty_attach_asks_for_the_current_screen_and_the_keyboard() {
        let attach = serde_json::from_str::<FromViewer>(r#"{"type":"attach"}"#).unwrap();
        assert_eq!(attach, FromViewer::Attach(AttachRequest::default()));
    }
}
