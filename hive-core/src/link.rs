//! How a hive reaches one satellite.

mod channel;
pub(crate) mod lane;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{ToAgent, close};
use hive_wire::frame::Frame;
use hive_wire::stream::Lane;

use crate::Error;

pub use channel::{ChannelLink, LinkEnd};

/// One message to a satellite.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// A control message.
    Control(ToAgent),
    /// Data.
    Frame(Frame),
}

impl Outgoing {
    /// The message as bytes and whether they are text: JSON for control, the frame's own bytes for data.
    pub fn encode(&self) -> (bool, Bytes) {
        match self {
            Self::Control(message) => {
                (true, serde_json::to_vec(message).expect("control messages are plain data").into())
            }
            Self::Frame(frame) => (false, frame.encode()),
        }
    }
}

impl From<ToAgent> for Outgoing {
    fn from(message: ToAgent) -> Self {
        Self::Control(message)
    }
}

impl From<Frame> for Outgoing {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}

/// Why a link ends, as the satellite is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// A WebSocket close code, see [`hive_wire::agent::close`].
    pub code: u16,
    /// For people.
    pub reason: String,
    /// The shortest time before the next attempt, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl From<&Error> for Close {
    /// The end of a link by an error of the hive or of its satellite.
    fn from(error: &Error) -> Self {
        let code = match error {
            // Errors of the server: the satellite keeps its key and reconnects later.
            Error::Unavailable(_)
            | Error::Internal(_)
            | Error::Corrupt(_)
            | Error::RateLimited { .. }
            | Error::QueueFull { .. } => close::OVERLOADED,
            Error::AuthInvalid | Error::AuthRequired | Error::SatelliteNotFound(_) | Error::Forbidden(_) => {
                close::AUTH_FAILED
            }
            Error::Conflict(_) => close::IDENTITY_CONFLICT,
            _ => close::PROTOCOL_ERROR,
        };
        Self { code, reason: error.to_string(), retry_after_ms: None }
    }
}

/// The link cannot take the message: it is closed, or its satellite does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link takes no more messages")]
pub struct LinkClosed;

/// The way to one satellite.
#[async_trait]
pub trait AgentLink: Send + Sync {
    /// Hands over a message without waiting. A link whose satellite does not read is closed, not waited for.
    fn send(&self, message: Outgoing) -> Result<(), LinkClosed>;

    /// Waits until at least half of the room for messages of a lane is free: for those who have many to send.
    async fn ready(&self, lane: Lane) -> Result<(), LinkClosed>;

    /// Ends the link; what was handed over before is still delivered where the satellite reads.
    fn close(&self, close: Close);
}
