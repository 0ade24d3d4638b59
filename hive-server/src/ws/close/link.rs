//! How the link of a satellite ends.

use hive_core::Error;
use hive_core::link::Close;
use hive_core::wire::agent::{ErrorBody, ToAgent, close};

/// Why a link is closed.
#[derive(Debug)]
pub(in crate::ws) enum LinkClose {
    /// The connection is gone: no frame can be sent.
    ConnectionLost,
    /// A close frame is sent.
    Frame(Close),
}

impl LinkClose {
    fn with_code(code: u16, reason: impl Into<String>) -> Self {
        Self::Frame(Close { code, reason: reason.into(), retry_after_ms: None })
    }

    /// The satellite violated the protocol.
    pub(in crate::ws) fn protocol(reason: impl Into<String>) -> Self {
        Self::with_code(close::PROTOCOL_ERROR, reason)
    }

    /// The satellite sent nothing in time.
    pub(in crate::ws) fn timeout(reason: impl Into<String>) -> Self {
        Self::with_code(close::TIMEOUT, reason)
    }

    /// Newer handshakes of the same satellite are in progress.
    pub(in crate::ws) fn replaced() -> Self {
        Self::with_code(close::REPLACED, "newer handshakes of this satellite are in progress")
    }

    /// The satellite announced that it disconnects.
    pub(in crate::ws) fn normal() -> Self {
        Self::with_code(1000, "goodbye")
    }

    /// The server is stopping.
    pub(in crate::ws) fn going_away() -> Self {
        Self::with_code(close::GOING_AWAY, "the server restarts")
    }
}

impl From<Error> for LinkClose {
    fn from(error: Error) -> Self {
        Self::Frame(Close::from(&error))
    }
}

/// The message in front of a close frame, if the frame alone does not tell the satellite when to reconnect.
pub(in crate::ws) fn disconnect_message(close: &Close, reconnect_jitter_ms: u64) -> Option<ToAgent> {
    let is_restart = close.code == close::GOING_AWAY;
    let retry_after_ms = close.retry_after_ms.or(is_restart.then_some(reconnect_jitter_ms));
    let reason = if is_restart { "restart".to_owned() } else { close.reason.clone() };
    retry_after_ms.is_some().then_some(ToAgent::Disconnect { reason, retry_after_ms })
}

/// The error of a refused handshake.
pub(in crate::ws) fn handshake_error(error: &Error) -> ErrorBody {
    ErrorBody { code: error.code(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error, expected: u16) {
        match LinkClose::from(error) {
            LinkClose::Frame(close) => assert_eq!(close.code, expected),
            LinkClose::ConnectionLost => panic!("no close frame"),
        }
    }

    #[test]
    fn only_an_invalid_key_is_closed_as_such() {
        check(Error::AuthInvalid, close::AUTH_FAILED);
        check(Error::internal("disk full"), close::OVERLOADED);
        check(Error::invalid("stream", "gap"), close::PROTOCOL_ERROR);
    }

    #[test]
    fn a_restart_carries_a_reconnect_delay() {
        let close = Close { code: close::GOING_AWAY, reason: "x".into(), retry_after_ms: None };
        let expected = ToAgent::Disconnect { reason: "restart".into(), retry_after_ms: Some(40) };
        assert_eq!(disconnect_message(&close, 40), Some(expected));
        let replaced = Close { code: close::REPLACED, ..close };
        assert_eq!(disconnect_message(&replaced, 40), None);
    }
}
