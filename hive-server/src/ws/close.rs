//! Where an error becomes a close code.

use axum::extract::ws::CloseFrame;
use hive_core::Error;
use hive_core::link::Close;
use hive_core::wire::ErrorCode;
use hive_core::wire::agent::{ErrorBody, ToAgent, close};
use hive_core::wire::api::ApiError;
use hive_core::wire::session::ToViewer;

use crate::error::Failure;

/// The longest reason of a close frame: a control frame holds 125 bytes, two of them the code.
const MAX_REASON: usize = 123;
/// A viewer's close code is the HTTP status of what went wrong, among the codes of our own.
const VIEWER_CODES: u16 = 4000;

/// How a link ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// There is nobody left to tell.
    Gone,
    /// The satellite is told why.
    Told(Close),
}

impl Ending {
    fn told(code: u16, reason: impl Into<String>) -> Self {
        Self::Told(Close { code, reason: reason.into(), retry_after_ms: None })
    }

    /// The satellite sent something that is not the protocol.
    pub(super) fn protocol(reason: impl Into<String>) -> Self {
        Self::told(close::PROTOCOL_ERROR, reason)
    }

    /// The satellite said nothing for too long.
    pub(super) fn timeout(reason: impl Into<String>) -> Self {
        Self::told(close::TIMEOUT, reason)
    }

    /// Newer handshakes of the same satellite are under way.
    pub(super) fn replaced() -> Self {
        Self::told(close::REPLACED, "newer handshakes of this satellite are under way")
    }

    /// The satellite said that it goes.
    pub(super) fn goodbye() -> Self {
        Self::told(1000, "goodbye")
    }

    /// The server stops.
    pub(super) fn going_away() -> Self {
        Self::told(close::GOING_AWAY, "the server restarts")
    }
}

impl From<Error> for Ending {
    /// A fault of ours is not held against the satellite: it keeps its key and comes back later.
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Unavailable(_)
            | Error::Internal(_)
            | Error::Damaged(_)
            | Error::RateLimited { .. }
            | Error::QueueFull { .. } => close::OVERLOADED,
            Error::AuthInvalid | Error::AuthRequired | Error::SatelliteNotFound(_) | Error::Forbidden(_) => {
                close::AUTH_FAILED
            }
            Error::Conflict(_) => close::IDENTITY_CONFLICT,
            _ => close::PROTOCOL_ERROR,
        };
        Self::told(code, error.to_string())
    }
}

/// How a viewer's socket ends.
#[derive(Debug)]
pub(super) enum Parting {
    /// There is nobody left to tell.
    Gone,
    /// The viewer is told why.
    Told {
        /// The last message, where the close frame alone does not say it.
        last_word: Option<Box<ToViewer>>,
        close: Close,
    },
}

impl Parting {
    fn told(error: ApiError) -> Self {
        let code = VIEWER_CODES + error.code.http_status();
        let close = Close { code, reason: error.message.clone(), retry_after_ms: None };
        Self::Told { last_word: Some(Box::new(ToViewer::Error { error })), close }
    }

    fn silent(code: u16, reason: &str) -> Self {
        Self::Told { last_word: None, close: Close { code, reason: reason.into(), retry_after_ms: None } }
    }

    /// The viewer sent something that is not the protocol.
    pub(super) fn protocol(reason: impl Into<String>) -> Self {
        Self::told(ApiError { code: ErrorCode::InvalidInput, message: reason.into(), details: None })
    }

    /// The viewer said nothing for too long.
    pub(super) fn timeout(reason: &str) -> Self {
        Self::silent(close::TIMEOUT, reason)
    }

    /// The terminal has ended, and the viewer knows.
    pub(super) fn over() -> Self {
        Self::silent(1000, "the terminal has ended")
    }

    /// The viewer knows why already.
    pub(super) fn behind(error: &ApiError) -> Self {
        Self::silent(VIEWER_CODES + error.code.http_status(), &error.message)
    }

    /// The server stops, or the viewer has come back over another socket.
    pub(super) fn going_away() -> Self {
        Self::silent(close::GOING_AWAY, "the server restarts")
    }
}

impl From<Error> for Parting {
    fn from(error: Error) -> Self {
        Self::told(Failure::from(error).answer().error)
    }
}

/// What the satellite is told in front of the close frame, where the frame alone does not say it.
pub(super) fn farewell(close: &Close, spread_ms: u64) -> Option<ToAgent> {
    let is_restart = close.code == close::GOING_AWAY;
    let retry_after_ms = close.retry_after_ms.or(is_restart.then_some(spread_ms));
    let reason = if is_restart { "restart".to_owned() } else { close.reason.clone() };
    retry_after_ms.is_some().then_some(ToAgent::Disconnect { reason, retry_after_ms })
}

/// The close frame itself.
pub(super) fn frame(close: &Close) -> CloseFrame {
    let cut = close.reason.floor_char_boundary(MAX_REASON);
    CloseFrame { code: close.code, reason: close.reason[..cut].into() }
}

/// The error of a refused handshake.
pub(super) fn refusal(error: &Error) -> ErrorBody {
    ErrorBody { code: error.code(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error, expected: u16) {
        match Ending::from(error) {
            Ending::Told(close) => assert_eq!(close.code, expected),
            Ending::Gone => panic!("the satellite is not told"),
        }
    }

    #[test]
    fn a_satellite_loses_its_key_only_where_the_key_is_bad() {
        check(Error::AuthInvalid, close::AUTH_FAILED);
        check(Error::internal("disk full"), close::OVERLOADED);
        check(Error::invalid("stream", "gap"), close::PROTOCOL_ERROR);
    }

    #[test]
    fn a_viewer_is_told_why_it_is_not_let_in_and_nothing_more() {
        let check = |error: Error, expected: u16| match Parting::from(error) {
            Parting::Told { last_word: Some(word), close } => {
                let ToViewer::Error { error } = *word else { panic!("{word:?}") };
                assert_eq!((close.code, close.reason), (expected, error.message.clone()));
                assert!(!error.message.contains("SELECT"), "{error:?}");
            }
            other => panic!("{other:?}"),
        };
        check(Error::SessionNotFound("x".into()), 4404);
        check(Error::Forbidden("sessions.open".into()), 4403);
        check(Error::Unavailable("x".into()), 4503);
        check(Error::internal("SELECT secret FROM keys"), 4500);
    }

    #[test]
    fn a_long_reason_fits_into_its_frame() {
        let close = Close { code: 4400, reason: "ä".repeat(100), retry_after_ms: None };
        assert_eq!(frame(&close).reason.len(), 122);
    }

    #[test]
    fn a_restart_says_when_to_come_back() {
        let close = Close { code: close::GOING_AWAY, reason: "x".into(), retry_after_ms: None };
        let expected = ToAgent::Disconnect { reason: "restart".into(), retry_after_ms: Some(40) };
        assert_eq!(farewell(&close, 40), Some(expected));
        let replaced = Close { code: close::REPLACED, ..close };
        assert_eq!(farewell(&replaced, 40), None);
    }
}
