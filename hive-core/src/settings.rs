//! What can be set about a hive.

use std::time::Duration;

/// When a registered satellite becomes active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// With its first heartbeat; an accepted handshake is one.
    Heartbeat,
    /// When an admin activates it.
    Manual,
}

/// How the labels that a satellite claims are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimedTags {
    /// Labels beyond those its token allows are kept as facts. They match no target.
    Facts,
    /// All of them become labels.
    Accept,
}

/// The longest [`Settings::lost_grace`].
pub const MAX_LOST_GRACE: Duration = Duration::from_mins(10);

const DAY: Duration = Duration::from_hours(24);

hive_wire::with_setters! {
    /// The settings of a hive. Every interval may be shortened for tests.
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
        /// The time without a message after which a satellite counts as offline.
        pub heartbeat_timeout: Duration,
        /// How long a satellite that is online may take to answer a ping, before another process takes its place.
        pub answer_time: Duration,
        /// How long a login lasts.
        pub login_lifetime: Duration,
        /// How long beyond its timeout a waiting call waits for a command's result: the time to kill and to report.
        pub result_grace: Duration,
        /// How long after its timeout a delivered command may be without a report before its outcome counts as unknown. At
        /// most [`MAX_LOST_GRACE`], because satellites keep an id no longer than that after its expiry.
        pub lost_grace: Duration,
        /// Time between two looks for overdue commands.
        pub sweep_interval: Duration,
        /// How many satellites per second are asked to reconnect when the hive stops.
        pub return_rate: u32,
        /// The most terminals of one satellite.
        pub max_sessions_per_satellite: u32,
        /// The most commands of one satellite that may be open; more of them are refused with `RateLimited`.
        pub max_queue_per_satellite: u32,
        /// The most open commands of one caller, those of jobs left out; more of them are refused with `RateLimited`.
        pub max_open_per_caller: u32,
        /// The number of satellites above which a job has to state it (`confirm`); 0 if it never has to.
        pub confirm_jobs_above: u32,
        /// The output of commands that may be in memory before it is stored, in bytes, of all commands together. Above it,
        /// output is stored early, and satellites get no more credit until it is. What they may send with the credit that they
        /// have comes on top: one window of each stream.
        pub max_buffered_output: usize,
        /// How long a terminal outlives its satellite's link.
        pub session_linger: Duration,
        /// How long a terminal may be without input and output before it is ended; forever if `None`.
        pub session_idle_timeout: Option<Duration>,
        /// How long the viewer that types may leave output unread before the program stops waiting for it.
        pub claim_stall: Duration,
        /// How long the keyboard and the unread output of a disconnected viewer are kept for it.
        pub claim_linger: Duration,
        /// How long records of the audit log are kept; forever if `None`.
        pub retain_audit: Option<Duration>,
        /// How long the output of a command is kept after its end; as long as the command if `None`.
        pub retain_output: Option<Duration>,
        /// How long commands, jobs and sessions are kept after their end; forever if `None`.
        pub retain_commands: Option<Duration>,
        /// How long what is known of a satellite is kept after its removal; forever if `None`.
        pub retain_removed: Option<Duration>,
        /// How long a call with an idempotency key counts as running after its server was last heard of. It is renewed while the
        /// call runs.
        pub answer_lease: Duration,
        /// How often data that is too old is looked for.
        pub prune_interval: Duration,
        /// The least pause between two batches of rows that are deleted.
        pub prune_pause: Duration,
    }
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
            confirm_jobs_above: 0,
            max_buffered_output: 64 * 1024 * 1024,
            session_linger: Duration::from_mins(10),
            session_idle_timeout: Some(Duration::from_hours(24)),
            claim_stall: Duration::from_secs(10),
            claim_linger: Duration::from_secs(30),
            retain_audit: Some(90 * DAY),
            retain_output: Some(7 * DAY),
            retain_commands: Some(90 * DAY),
            retain_removed: Some(7 * DAY),
            answer_lease: Duration::from_secs(15),
            prune_interval: Duration::from_hours(1),
            prune_pause: Duration::from_millis(50),
        }
    }
}
