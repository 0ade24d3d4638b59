//! How much of everything is too much.

use std::time::Duration;

/// How much of everything is too much.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request's body; a larger one is answered 413.
    pub body_bytes: usize,
    /// How long a connection may take to send the head of a request, the idle time between two of them included.
    pub header_timeout: Duration,
    /// How long a new connection may take until its caller has proved who they are, and a satellite's link until its
    /// handshake is here.
    pub handshake_timeout: Duration,
    /// Connections of callers who have not proved who they are; 0 for any number. With one more, the oldest is cut.
    pub strangers: usize,
    /// The same of one address.
    pub strangers_per_address: usize,
    /// How long one message to a satellite may take to leave; then its link is ended.
    pub write_timeout: Duration,
    /// How many satellites may be in the middle of proving who they are; 0 for any number. One more is answered 503, and told
    /// when to come back.
    pub handshaking: usize,
    /// How many satellites may begin to prove who they are in a second; 0 for any number. The others are answered as above.
    pub handshake_rate: u32,
    /// How long after the call to stop those are waited for who were calling then; what they wait for goes on without them.
    pub request_grace: Duration,
    /// How long after the call to stop everything is cut.
    pub shutdown_grace: Duration,
    /// Over how long the satellites of a stopping server are asked to spread their return.
    pub restart_spread: Duration,
    /// How often a silent event stream shows that it lives.
    pub keep_alive: Duration,
    /// How often who looks at a terminal is asked whether they are there; three times without a word, and they are not.
    pub viewer_ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            header_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(hive_core::wire::agent::HANDSHAKE_TIMEOUT_SECONDS),
            strangers: 2048,
            strangers_per_address: 512,
            write_timeout: Duration::from_secs(10),
            handshaking: 512,
            handshake_rate: 1000,
            request_grace: Duration::from_millis(1500),
            shutdown_grace: Duration::from_millis(4500),
            restart_spread: Duration::from_secs(5),
            keep_alive: Duration::from_secs(15),
            viewer_ping: Duration::from_secs(30),
        }
    }
}
