//! The socket between a server and one who looks at a terminal: JSON text for control, binary
//! [`frame`](crate::frame)s of stream 0 for the terminal's bytes.
//!
//! Output and input each count their bytes from the session's beginning, so that a viewer who was cut off says what it
//! has, and gets the rest. One viewer at a time is the *writer*: only what it types is taken, and the terminal waits for
//! it when it reads slowly. All others read along, and hold up nobody.

use serde::{Deserialize, Serialize};

use crate::ViewerId;
use crate::api::{ApiError, Session, SessionEnd, Size};
use crate::frame::StreamId;
use crate::open_enum;

/// The WebSocket sub-protocol.
pub const SUBPROTOCOL: &str = "hive.session.v1";
/// The stream of a terminal's bytes, both ways.
pub const STREAM: StreamId = StreamId(0);
/// Bytes of input that may be under way to a terminal; what exceeds it waits with who types.
pub const INPUT_WINDOW: u64 = 64 * 1024;
/// Bytes of output a hive keeps of each terminal.
pub const SCROLLBACK: usize = 1024 * 1024;

open_enum! {
    /// How somebody looks at a terminal.
    #[derive(Default)]
    pub enum ViewMode {
        /// Types where nobody else does, else reads along until asked for the keyboard.
        #[default]
        Control = "control",
        /// Takes the keyboard from whoever has it.
        Take = "take",
        /// Reads along, and never types.
        ReadOnly = "read_only",
    }
}

/// The first message of a viewer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachRequest {
    /// Who comes back; nobody where it comes for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer: Option<ViewerId>,
    /// How many bytes of output it has: the offset of the first it wants. Without it, the current screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// What it wants to do.
    pub mode: ViewMode,
    /// The size of its screen. The terminal takes the size of the writer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
}

/// What a viewer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FromViewer {
    /// The first message.
    Attach(AttachRequest),
    /// Everything before this offset of the output is on its screen.
    Ack {
        /// The offset.
        offset: u64,
    },
    /// Its screen has another size. Only the writer's counts.
    Resize(Size),
    /// It asks the writer for the keyboard.
    RequestControl,
    /// The writer gives the keyboard to another viewer.
    GrantControl {
        /// To whom, by the number told with the request.
        to: u32,
    },
    /// It takes the keyboard.
    TakeControl,
    /// The writer lets the keyboard go.
    ReleaseControl,
    /// A message of a newer version.
    #[serde(other)]
    Unknown,
}

/// What a viewer is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToViewer {
    /// It is in. The first message.
    Attached(Box<Attached>),
    /// Output that nobody has any more.
    Gap {
        /// The first missing byte.
        from: u64,
        /// The first byte that is there again.
        to: u64,
    },
    /// The viewer was too slow, and output was left out for it: it clears its screen and goes on at `output`.
    Reset {
        /// The offset of the next byte.
        output: u64,
        /// What brings a fresh terminal into the modes this one is in: escape sequences to write behind a full reset.
        modes: String,
    },
    /// The satellite has typed everything before this offset of the input.
    Applied {
        /// The offset.
        offset: u64,
    },
    /// The terminal has another size.
    Resized(Size),
    /// Who has the keyboard has changed.
    Control(Control),
    /// Another viewer asks this one, the writer, for the keyboard.
    ControlRequested {
        /// Its number within the session.
        by: u32,
        /// Its name, for people.
        name: String,
    },
    /// The satellite's link has gone or come back. The terminal lives on.
    Link {
        /// Whether it is there.
        online: bool,
    },
    /// The program has ended; the last message.
    Ended(SessionEnd),
    /// It cannot be let in; the last message.
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
pub struct Attached {
    /// The terminal.
    pub session: Session,
    /// Who the viewer is: to be told when it comes back.
    pub viewer: ViewerId,
    /// The offset of the first byte of output that follows.
    pub output: u64,
    /// Where output begins elsewhere than asked for: what brings a fresh terminal into the modes this one is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modes: Option<String>,
    /// Who has the keyboard.
    pub control: Control,
    /// Whether the keyboard is this viewer's since before it was cut off: what it typed and is not before
    /// `control.input` is to be sent again, and nothing was typed by others.
    pub is_resumed: bool,
}

/// Who has the keyboard, as one viewer is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Whether it is this viewer.
    pub is_mine: bool,
    /// Where it is, the offset of the next byte it types.
    pub input: u64,
    /// The name of who has it, for people.
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
