//! How the socket of a viewer ends.

use hive_core::Error;
use hive_core::link::Close;
use hive_core::wire::ErrorCode;
use hive_core::wire::agent::close;
use hive_core::wire::api::ApiError;
use hive_core::wire::session::ToViewer;

use super::STATUS_CODE_BASE;
use crate::error::HttpError;
use crate::ws::outbox::ConnectionLost;

/// Why the socket of a viewer is closed.
#[derive(Debug)]
pub(in crate::ws) enum ViewerClose {
    /// The connection is gone: no frame can be sent.
    ConnectionLost,
    /// A close frame is sent.
    Frame {
        /// The message in front of it, if the frame alone does not carry the error.
        last_message: Option<Box<ToViewer>>,
        close: Close,
    },
}

impl ViewerClose {
    /// Sends the error as a message first: a close frame has no room for its code and details.
    fn with_error(error: ApiError) -> Self {
        let code = STATUS_CODE_BASE + error.code.http_status();
        let close = Close { code, reason: error.message.clone(), retry_after_ms: None };
        Self::Frame { last_message: Some(Box::new(ToViewer::Error { error })), close }
    }

    fn with_code(code: u16, reason: &str) -> Self {
        Self::Frame { last_message: None, close: Close { code, reason: reason.into(), retry_after_ms: None } }
    }

    /// The viewer violated the protocol.
    pub(in crate::ws) fn protocol(reason: impl Into<String>) -> Self {
        Self::with_error(ApiError { code: ErrorCode::InvalidInput, message: reason.into(), details: None })
    }

    /// The viewer sent nothing in time.
    pub(in crate::ws) fn timeout(reason: &str) -> Self {
        Self::with_code(close::TIMEOUT, reason)
    }

    /// The session has ended, and the viewer has received that event.
    pub(in crate::ws) fn session_ended() -> Self {
        Self::with_code(1000, "the session has ended")
    }

    /// The viewer has received the error as a message of the session.
    pub(in crate::ws) fn after_error(error: &ApiError) -> Self {
        Self::with_code(STATUS_CODE_BASE + error.code.http_status(), &error.message)
    }

    /// The server is stopping, or the viewer has reattached over another socket.
    pub(in crate::ws) fn going_away() -> Self {
        Self::with_code(close::GOING_AWAY, "the server restarts")
    }
}

impl From<ConnectionLost> for ViewerClose {
    fn from(ConnectionLost: ConnectionLost) -> Self {
        Self::ConnectionLost
    }
}

impl From<Error> for ViewerClose {
    fn from(error: Error) -> Self {
        Self::with_error(HttpError::from(error).into_parts().error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_sent_without_its_cause() {
        let check = |error: Error, expected: u16| match ViewerClose::from(error) {
            ViewerClose::Frame { last_message: Some(message), close } => {
                let ToViewer::Error { error } = *message else { panic!("{message:?}") };
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
}
