//! Why a link ended, and how soon the next one may be opened.

use std::time::Duration;

use hive_wire::agent::close;
use secrecy::SecretString;

use crate::http;

/// Why a link, or the attempt to open one, ended.
#[derive(Debug)]
pub(crate) enum DisconnectReason {
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
    /// The server violated the protocol. The link is closed with an error, and opened again.
    ProtocolViolation(String),
    /// Anything else: it is tried again, but not before `retry_after`.
    Lost { cause: String, retry_after: Duration },
}

impl DisconnectReason {
    pub(crate) fn lost(cause: impl Into<String>) -> Self {
        Self::Lost { cause: cause.into(), retry_after: Duration::ZERO }
    }

    /// The server sent a disconnect message.
    pub(crate) fn disconnected(reason: &str, retry_after_ms: Option<u64>) -> Self {
        Self::Lost {
            cause: format!("the server disconnected: {reason:?}"),
            retry_after: Duration::from_millis(retry_after_ms.unwrap_or(0)).min(http::MAX_RETRY_AFTER),
        }
    }

    /// The server closed the link with this code.
    pub(crate) fn closed(code: u16, reason: &str) -> Self {
        match code {
            close::AUTH_FAILED => Self::KeyRejected,
            close::REPLACED => Self::Replaced,
            close::IDENTITY_CONFLICT => Self::IdentityConflict,
            code => Self::lost(format!("the server closed the link ({code}, {reason:?})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_can_send_a_satellite_away_for_good() {
        let check = |requested, expected| match DisconnectReason::disconnected("restart", requested) {
            DisconnectReason::Lost { retry_after, .. } => assert_eq!(retry_after, expected, "{requested:?}"),
            other => panic!("{other:?}"),
        };
        check(None, Duration::ZERO);
        check(Some(700), Duration::from_millis(700));
        check(Some(u64::MAX), http::MAX_RETRY_AFTER);
    }
}
