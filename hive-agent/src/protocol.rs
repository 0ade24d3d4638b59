//! The protocol of the link, without a socket: messages come in and go out as values, so that any transport can carry it.
//!
//! [`handshake`] opens a link. [`link`] handles what comes in, [`send_scheduler`] decides what goes out next.
//! [`command_sender`] is one command on one link, with a [`channel_sender`] for each of its outputs. [`session_link`] is
//! one session, with its [`session_stream`]. [`link_clock`] measures how old a message is. [`disconnect`] is why a link
//! ended.

mod channel_sender;
mod command_sender;
mod disconnect;
pub(crate) mod handshake;
pub(crate) mod link;
pub(crate) mod link_clock;
mod send_scheduler;
mod session_link;
mod session_stream;

use hive_wire::agent::ToServer;
use hive_wire::frame::Frame;

pub(crate) use disconnect::DisconnectReason;

/// A message to the server.
#[derive(Debug, PartialEq)]
pub(crate) enum AgentMessage {
    Control(ToServer),
    Data(Frame),
    /// Asks for a pong, to measure the latency of the link.
    Ping,
}
