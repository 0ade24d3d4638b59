//! Maps errors to close codes: of the links of satellites, and of the sockets of viewers.

mod link;
mod viewer;

use axum::extract::ws::CloseFrame;
use hive_core::link::Close;

pub(super) use self::link::{LinkClose, disconnect_message, handshake_error};
pub(super) use self::viewer::ViewerClose;

/// The longest reason of a close frame. A control frame holds 125 bytes, two of which are the code (RFC 6455, section 5.5).
const MAX_REASON_BYTES: usize = 123;

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
