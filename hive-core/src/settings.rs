//! What can be set about a hive.

use std::time::Duration;

/// When a registered satellite becomes active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// With its first heartbeat; an accepted handshake is one.
    Heartbeat,
    /// When an admin says so.
    Manual,
}

/// What becomes of the labels a satellite claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimedTags {
    /// They are kept as a fact that matches nothing, beyond those its token allows.
    Facts,
    /// They are labels as all others.
    Accept,
}

/// The longest [`Settings::lost_grace`].
pub const MAX_LOST_GRACE: Duration = Duration::from_mins(10);

/// What can be set about a hive. Every interval may be shortened for tests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The hive's address as satellites and people reach it; the issuer of its tokens.
    pub external_url: String,
    /// When a registered satellite becomes active.
    pub activation: Activation,
    /// What becomes of labels that a satellite claims beyond those its token allows.
    pub claimed_tags: ClaimedTags,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
    /// Silence after which a satellite counts as gone.
    pub heartbeat_timeout: Duration,
    /// How long a satellite that is online may take to answer a ping, before another process takes its place.
    pub answer_time: Duration,
    /// How long a login lasts.
    pub login_lifetime: Duration,
    /// How long beyond its timeout a waiting call waits for a command's result: the time to kill and to report.
    pub result_grace: Duration,
    /// How long a command that was handed over may go without a word beyond its timeout before its outcome counts as
    /// unknown. At most [`MAX_LOST_GRACE`]: satellites keep an id no longer than that beyond its expiry.
    pub lost_grace: Duration,
    /// Time between two looks for overdue commands.
    pub sweep_interval: Duration,
    /// How many satellites a second are asked to come back where the hive stops.
    pub return_rate: u32,
    /// The most terminals of one satellite.
    pub max_sessions_per_satellite: u32,
    /// The most commands of one satellite that may be open; more of them are refused with `RateLimited`.
    pub max_queue_per_satellite: u32,
    /// The most open commands of one caller, those of jobs left out; more of them are refused with `RateLimited`.
    pub max_open_per_caller: u32,
    /// How long a terminal outlives its satellite's link.
    pub session_linger: Duration,
    /// How long a terminal may go without input and output before it is ended; for ever where there is none.
    pub session_idle_timeout: Option<Duration>,
    /// How long who types may leave output unread before the program does not wait for them any more.
    pub claim_stall: Duration,
    /// How long keyboard and unread output of a viewer that was cut off are kept for it.
    pub claim_linger: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            external_url: "http://127.0.0.1:3000".into(),
            activation: Activation::Heartbeat,
            claimed_tags: ClaimedTags::Facts,
            heartbeat_interval: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(90),
            answer_time: Duration::from_secs(2),
            login_lifetime: Duration::from_hours(1),
            result_grace: Duration::from_secs(15),
            lost_grace: Duration::from_mins(1),
            sweep_interval: Duration::from_secs(5),
            return_rate: 1000,
            max_sessions_per_satellite: 10,
            max_queue_per_satellite: 50_000,
            max_open_per_caller: 10_000,
            session_linger: Duration::from_mins(10),
            session_idle_timeout: Some(Duration::from_hours(24)),
            claim_stall: Duration::from_secs(10),
            claim_linger: Duration::from_secs(30),
        }
    }
}
