//! How a UI socket ends.

use hive_core::Error;
use hive_core::link::Close;
use hive_core::wire::ErrorCode;
use hive_core::wire::agent::close;
use hive_core::wire::api::ApiError;

use super::STATUS_CODE_BASE;
use crate::error::HttpError;
use crate::ws::outbox::ConnectionLost;

/// Why a UI socket is closed.
#[derive(Debug)]
pub(in crate::ws) enum UiClose {
    /// The connection is gone: no frame can be sent.
    ConnectionLost,
    /// A close frame is sent.
    Frame {
        /// The error, which is sent in front of the frame: a frame has no room for its code and details.
        error: Option<Box<ApiError>>,
        close: Close,
    },
}

impl UiClose {
    fn with_error(error: ApiError) -> Self {
        let code = STATUS_CODE_BASE + error.code.http_status();
        let close = Close { code, reason: error.message.clone(), retry_after_ms: None };
        Self::Frame { error: Some(Box::new(error)), close }
    }

    fn with_code(code: u16, reason: &str) -> Self {
        Self::Frame { error: None, close: Close { code, reason: reason.into(), retry_after_ms: None } }
    }

    /// The client broke the protocol of WebSockets, or sent a message that is too long to be read: where the next one begins is not
    /// known.
    pub(in crate::ws) fn unreadable(error: &axum::Error) -> Self {
        let message = error.to_string();
        // The type of the error is one of the WebSocket library, which the server does not depend on.
        let is_too_long = message.starts_with("Space limit exceeded");
        let code = if is_too_long { ErrorCode::PayloadTooLarge } else { ErrorCode::InvalidInput };
        Self::with_error(ApiError { code, message: format!("frame: {message}"), details: None })
    }

    /// The client sent nothing in time.
    pub(in crate::ws) fn timeout() -> Self {
        Self::with_code(close::TIMEOUT, "no answer was received in time")
    }

    /// The server is stopping.
    pub(in crate::ws) fn going_away() -> Self {
        Self::with_code(close::GOING_AWAY, "the server restarts")
    }
}

impl From<ConnectionLost> for UiClose {
    fn from(ConnectionLost: ConnectionLost) -> Self {
        Self::ConnectionLost
    }
}

impl From<Error> for UiClose {
    fn from(error: Error) -> Self {
        Self::with_error(HttpError::from(error).into_parts().error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_sent_in_front_of_its_close_frame_and_without_its_cause() {
        let check = |error: Error, expected: u16| match UiClose::from(error) {
            UiClose::Frame { error: Some(error), close } => {
                assert_eq!((close.code, &close.reason), (expected, &error.message));
                assert!(!error.message.contains("SELECT"), "{error:?}");
            }
            other => panic!("{other:?}"),
        };
        check(Error::AuthInvalid, 4401);
        check(Error::Unavailable("x".into()), 4503);
        check(Error::internal("SELECT secret FROM keys"), 4500);
    }
}
