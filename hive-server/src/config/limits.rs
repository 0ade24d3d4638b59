//! The limits of a server and their defaults.

use std::time::Duration;

hive_core::wire::with_setters! {
    /// Limits and timeouts of a server.
    #[derive(Debug, Clone)]
    pub struct Limits {
        /// The most bytes of a request body; a larger one is answered 413.
        pub body_bytes: usize,
        /// How long a connection may take to send the head of a request, including the idle time between two requests.
        pub header_timeout: Duration,
        /// How long a new connection may take until its caller is authenticated, and the link of a satellite until its
        /// handshake has arrived.
        pub handshake_timeout: Duration,
        /// The most connections of unauthenticated callers; 0 for no limit. With one more, the oldest is closed.
        pub max_unauthenticated: usize,
        /// The most connections of unauthenticated callers from one address; 0 for no limit.
        pub max_unauthenticated_per_address: usize,
        /// How long sending one message to a satellite may take; then its link is closed.
        pub write_timeout: Duration,
        /// The most satellites that authenticate at the same time; 0 for no limit. Others are answered 503 with `Retry-After`.
        pub max_handshakes: usize,
        /// The most satellites that begin to authenticate in a second; 0 for no limit. Others are answered as above.
        pub handshake_rate: u32,
        /// The rates of authenticated callers, and of wrong passwords; `None` for no limit.
        pub rates: Option<RequestRates>,
        /// How long a stopping server waits for open requests. Accepted commands continue without them.
        pub request_grace: Duration,
        /// How long after the beginning of a shutdown all connections are closed.
        pub shutdown_grace: Duration,
        /// The period over which the satellites of a stopping server are asked to spread their reconnects.
        pub reconnect_jitter: Duration,
        /// How often an idle event stream sends a comment, so that proxies keep it open.
        pub keep_alive: Duration,
        /// How often a viewer of a session, or a UI socket, is pinged; after three intervals without an answer its socket is closed.
        pub viewer_ping: Duration,
        /// The most UI sockets that are open at the same time; 0 for no limit. Others are answered 503 with `Retry-After`.
        pub max_ui_sockets: usize,
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // The largest valid body is an exec request with 512 KiB of standard input as base64.
            body_bytes: 1024 * 1024,
            header_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(hive_core::wire::agent::HANDSHAKE_TIMEOUT_SECONDS),
            max_unauthenticated: 2048,
            max_unauthenticated_per_address: 512,
            write_timeout: Duration::from_secs(10),
            max_handshakes: 512,
            handshake_rate: 1000,
            rates: Some(RequestRates::default()),
            request_grace: Duration::from_millis(1500),
            // Below the 5 seconds in which a service manager is promised that the process has ended.
            shutdown_grace: Duration::from_millis(4500),
            reconnect_jitter: Duration::from_secs(5),
            // These two are below 60 seconds, after which common proxies close an idle connection.
            keep_alive: Duration::from_secs(15),
            viewer_ping: Duration::from_secs(30),
            max_ui_sockets: 4096,
        }
    }
}

hive_core::wire::with_setters! {
    /// How often a person's login may call, and an address try passwords. Over a rate the answer is 429 with `Retry-After`. API
    /// keys have none of these rates, because programs use them; a key may have one of its own.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RequestRates {
        /// The calls of one login in a minute.
        pub login_calls_per_minute: u32,
        /// The calls that a login may make at once after a pause.
        pub login_calls_burst: u32,
        /// The calls of the login of a browser in a minute, and at once after a pause.
        pub browser_calls_per_minute: u32,
        /// The commands of one login on one satellite in a minute.
        pub login_commands_per_minute: u32,
        /// The wrong passwords from one address in a minute. Right ones do not count.
        pub wrong_passwords_per_minute: u32,
        /// The names that one caller, or one address that registers satellites, may find to be in use in a minute. It holds for API
        /// keys too: a taken name tells that something exists.
        pub taken_names_per_minute: u32,
    }
}

impl Default for RequestRates {
    fn default() -> Self {
        Self {
            login_calls_per_minute: 100,
            login_calls_burst: 200,
            browser_calls_per_minute: 600,
            login_commands_per_minute: 30,
            wrong_passwords_per_minute: 5,
            taken_names_per_minute: 30,
        }
    }
}
