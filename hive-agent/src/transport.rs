//! What carries the link.

pub(crate) mod websocket;
