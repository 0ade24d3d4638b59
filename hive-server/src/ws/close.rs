//! Maps errors to close codes: of the links of satellites, and of the sockets of viewers and user interfaces.

mod link;
mod ui;
mod viewer;

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use hive_core::link::Close;
use tokio::time::timeout;

pub(super) use self::link::{LinkClose, disconnect_message, handshake_error};
pub(super) use self::ui::UiClose;
pub(super) use self::viewer::ViewerClose;

/// The longest reason of a close frame. A control frame holds 125 bytes, two of which are the code (RFC 6455, section 5.5).
const MAX_REASON_BYTES: usize = 123;

/// The close code of an error is this number plus its HTTP status. Codes from 4000 to 4999 are for applications (RFC 6455,
/// section 7.4.2).
const STATUS_CODE_BASE: u16 = 4000;
/// How long a client may take to receive the close frame and to answer it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends a last message and a close frame, and waits for the client to answer.
pub(super) async fn close_handshake(mut socket: WebSocket, last_message: Option<Message>, close: &Close) {
    let handshake = async {
        if let Some(message) = last_message {
            socket.send(message).await?;
        }
        socket.send(Message::Close(Some(close_frame(close)))).await?;
        // Reads what the client still sends: unread bytes would reset the connection before it has read the reason.
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<_, axum::Error>(())
    };
    drop(timeout(CLOSE_TIMEOUT, handshake).await);
}

/// Builds a close frame. A long reason is cut.
pub(super) fn close_frame(close: &Close) -> CloseFrame {
    let end = close.reason.floor_char_boundary(MAX_REASON_BYTES);
    CloseFrame { code: close.code, reason: close.reason[..end].into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let close = Close { code: 4400, reason: "ä".repeat(100), retry_after_ms: None };
        assert_eq!(close_frame(&close).reason.len(), 122);
    }
}
