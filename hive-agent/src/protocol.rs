//! The link to the server without its socket: what goes out next, how old a message is, and why a link ends.

pub(crate) mod command_sender;
pub(crate) mod link_clock;
pub(crate) mod outbox;
pub(crate) mod session_link;

use std::time::Duration;

use secrecy::SecretString;

/// Why a link, or the attempt to open one, ended.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    /// The agent stops.
    Stopped,
    /// The server does not accept the key.
    KeyRejected,
    /// The server gave the satellite a new key.
    NewKey(SecretString),
    /// Another agent connected with the same identity.
    Replaced,
    /// Another agent with the same identity is online, and the server does not take this one in beside it.
    IdentityConflict,
    /// The server said something that is not the protocol: it is told so, and tried again.
    Broken(String),
    /// Anything else: it is tried again, but not before `retry_after`.
    Lost { cause: String, retry_after: Duration },
}

impl LinkEnd {
    pub(crate) fn lost(cause: impl Into<String>) -> Self {
        Self::Lost { cause: cause.into(), retry_after: Duration::ZERO }
    }
}
