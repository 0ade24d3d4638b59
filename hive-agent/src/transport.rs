//! The transports that carry a link.

pub(crate) mod websocket;
