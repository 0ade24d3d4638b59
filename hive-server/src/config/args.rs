//! The flags of a server, and their mapping to its [`Config`] and to the [`Settings`] of its hive.
//!
//! The doc comments of fields are the help texts. The structs have none: clap would show them as the program's description.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use hive_core::hive::{Activation, ClaimedTags, Settings};
use ipnet::IpNet;

use super::values::{
    IdleTimeout, RetentionAge, parse_activation, parse_claimed_tags, parse_days, parse_idle_timeout, parse_lost_grace,
    parse_network, parse_seconds,
};
use super::{Config, Limits, RequestRates};
use crate::log::{LogFilter, LogFormat};
use crate::origins::Origin;

#[derive(Args)]
pub struct ServeArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, env = "HIVE_LISTEN", default_value = "127.0.0.1:3000", value_name = "ADDR")]
    listen: SocketAddr,
    /// The URL by which clients and satellites reach this server; registration tokens are bound to it
    #[arg(long, env = "HIVE_EXTERNAL_URL", value_name = "URL")]
    external_url: Option<String>,
    /// A proxy whose X-Forwarded-For is trusted; may be given several times
    #[arg(long, value_name = "IP or CIDR", value_parser = parse_network)]
    trusted_proxy: Vec<IpNet>,
    /// An origin whose pages may open WebSockets, such as https://hive.example.com; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<Origin>,
    /// When a registered satellite becomes active: with its first heartbeat, or by an admin
    #[arg(long, value_name = "heartbeat|manual", value_parser = parse_activation)]
    activation: Option<Activation>,
    /// How to treat tags that an agent claims and its token does not allow: as facts that match nothing, or as tags
    #[arg(long, value_name = "facts|accept", value_parser = parse_claimed_tags)]
    claimed_tags: Option<ClaimedTags>,
    /// Seconds between the heartbeats of a link
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    heartbeat_interval: Option<Duration>,
    /// Seconds of silence after which a satellite is offline
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    heartbeat_timeout: Option<Duration>,
    /// Seconds after its timeout after which a command without a result becomes outcome_unknown; at most 600
    #[arg(long, value_name = "SECONDS", value_parser = parse_lost_grace)]
    lost_grace: Option<Duration>,
    #[command(flatten)]
    queues: QueueArgs,
    #[command(flatten)]
    jobs: JobArgs,
    #[command(flatten)]
    sessions: SessionArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    retention: RetentionArgs,
    /// The format of log lines
    #[arg(long, env = "HIVE_LOG_FORMAT", default_value = "text", value_name = "text|json")]
    pub log_format: LogFormat,
    /// What is logged: a level, or levels by module
    #[arg(long, env = "HIVE_LOG_LEVEL", default_value = "info", value_name = "FILTER")]
    pub log_level: LogFilter,
}

impl ServeArgs {
    /// The configuration of the server.
    pub fn config(&self) -> Config {
        Config {
            listen: self.listen,
            trusted_proxies: self.trusted_proxy.clone(),
            origins: self.origin.clone(),
            limits: self.limits.limits(),
        }
    }

    /// The settings of the hive.
    pub fn settings(&self) -> Settings {
        let (mut settings, sessions) = (Settings::default(), &self.sessions);
        replace(&mut settings.external_url, self.external_url.clone());
        replace(&mut settings.activation, self.activation);
        replace(&mut settings.claimed_tags, self.claimed_tags);
        replace(&mut settings.heartbeat_interval, self.heartbeat_interval);
        replace(&mut settings.heartbeat_timeout, self.heartbeat_timeout);
        replace(&mut settings.lost_grace, self.lost_grace);
        // After a shutdown satellites are asked to reconnect as fast as they will be admitted.
        replace(&mut settings.return_rate, self.limits.handshake_rate.filter(|rate| *rate > 0));
        replace(&mut settings.max_queue_per_satellite, self.queues.max_queue_per_satellite);
        replace(&mut settings.max_open_per_caller, self.queues.max_open_per_caller);
        replace(&mut settings.confirm_jobs_above, self.jobs.confirm_jobs_above);
        replace(&mut settings.max_sessions_per_satellite, sessions.max_sessions_per_agent);
        replace(&mut settings.session_linger, sessions.session_linger);
        replace(&mut settings.session_idle_timeout, sessions.session_idle_timeout.map(|timeout| timeout.0));
        replace(&mut settings.claim_stall, sessions.claim_stall);
        replace(&mut settings.claim_linger, sessions.claim_linger);
        self.retention.apply(&mut settings);
        settings
    }
}

/// Replaces a default by the argument, if it is given.
fn replace<T>(default: &mut T, argument: Option<T>) {
    if let Some(argument) = argument {
        *default = argument;
    }
}

#[derive(Args)]
struct QueueArgs {
    /// The most open commands of one satellite; more are refused with 429
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_queue_per_satellite: Option<u32>,
    /// The most open commands of one caller, not counting jobs; more are refused with 429
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_open_per_caller: Option<u32>,
}

#[derive(Args)]
struct JobArgs {
    /// The number of satellites above which a request has to state it (confirm); 0 if it never has to
    #[arg(long, env = "HIVE_JOBS__CONFIRM_ABOVE", value_name = "NUMBER")]
    confirm_jobs_above: Option<u32>,
}

#[derive(Args)]
struct SessionArgs {
    /// The most open sessions of one satellite
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_sessions_per_agent: Option<u32>,
    /// Seconds for which a session outlives the link of its satellite
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    session_linger: Option<Duration>,
    /// Seconds without input and output after which a session is ended
    #[arg(long, value_name = "SECONDS|never", value_parser = parse_idle_timeout)]
    session_idle_timeout: Option<IdleTimeout>,
    /// Seconds for which a program waits for a writer that does not read
    // Hidden: only tests change it.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, hide = true)]
    claim_stall: Option<Duration>,
    /// Seconds for which the input lease and the output of a disconnected writer are kept
    // Hidden: only tests change it.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, hide = true)]
    claim_linger: Option<Duration>,
}

#[derive(Args)]
struct RetentionArgs {
    /// Days for which records of the audit log are kept; 0 to keep them for ever
    #[arg(long, env = "HIVE_RETAIN_AUDIT_DAYS", value_name = "DAYS", value_parser = parse_days)]
    retain_audit_days: Option<RetentionAge>,
    /// Days for which the output of a command is kept after its end; 0 to keep it as long as the command
    #[arg(long, env = "HIVE_RETAIN_OUTPUT_DAYS", value_name = "DAYS", value_parser = parse_days)]
    retain_output_days: Option<RetentionAge>,
    /// Days for which commands, jobs and sessions are kept after their end; 0 to keep them for ever
    #[arg(long, env = "HIVE_RETAIN_COMMANDS_DAYS", value_name = "DAYS", value_parser = parse_days)]
    retain_commands_days: Option<RetentionAge>,
    /// Days for which the data of a removed satellite is kept; 0 to keep it for ever
    #[arg(long, env = "HIVE_RETAIN_REMOVED_DAYS", value_name = "DAYS", value_parser = parse_days)]
    retain_removed_days: Option<RetentionAge>,
    /// Seconds between two looks for data that is too old
    // Hidden: only tests and benchmarks change it.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, hide = true)]
    prune_interval: Option<Duration>,
    /// The least pause in seconds between two batches of rows that are deleted
    // Hidden: only tests and benchmarks change it.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, hide = true)]
    prune_pause: Option<Duration>,
}

impl RetentionArgs {
    fn apply(&self, settings: &mut Settings) {
        replace(&mut settings.retain_audit, self.retain_audit_days.map(|kept| kept.0));
        replace(&mut settings.retain_output, self.retain_output_days.map(|kept| kept.0));
        replace(&mut settings.retain_commands, self.retain_commands_days.map(|kept| kept.0));
        replace(&mut settings.retain_removed, self.retain_removed_days.map(|kept| kept.0));
        replace(&mut settings.prune_interval, self.prune_interval);
        replace(&mut settings.prune_pause, self.prune_pause);
    }
}

#[derive(Args)]
struct LimitArgs {
    /// The most satellites that connect in a second; others are answered 503 with Retry-After. 0 for no limit
    #[arg(long, value_name = "NUMBER")]
    handshake_rate: Option<u32>,
    /// The most satellites that are connecting at the same time; 0 for no limit
    #[arg(long, value_name = "NUMBER")]
    max_handshakes: Option<usize>,
    /// Seconds within which the caller of a new connection must be authenticated
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    handshake_timeout: Option<Duration>,
    /// The most connections of unauthenticated callers; with one more the oldest is closed. 0 for no limit
    #[arg(long, value_name = "NUMBER")]
    max_unauthenticated: Option<usize>,
    /// The most connections of unauthenticated callers from one address; behind a trusted proxy the forwarded one counts
    #[arg(long, value_name = "NUMBER")]
    max_unauthenticated_per_address: Option<usize>,
    /// The calls of one login in a minute, and twice as many at once after a pause; API keys have no such limit
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    login_calls_per_minute: Option<u32>,
    /// The commands of one login on one satellite in a minute
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    login_commands_per_minute: Option<u32>,
    /// The wrong passwords from one address in a minute
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    wrong_passwords_per_minute: Option<u32>,
    /// The names that one caller may find to be in use in a minute, also with an API key
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    taken_names_per_minute: Option<u32>,
    /// Turn all rates off: those of handshakes, calls, commands, passwords, names and API keys
    #[arg(long, conflicts_with_all = [
        "handshake_rate", "login_calls_per_minute", "login_commands_per_minute", "wrong_passwords_per_minute",
        "taken_names_per_minute",
    ])]
    no_limits: bool,
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        replace(&mut limits.handshake_rate, self.handshake_rate);
        replace(&mut limits.max_handshakes, self.max_handshakes);
        replace(&mut limits.handshake_timeout, self.handshake_timeout);
        replace(&mut limits.max_unauthenticated, self.max_unauthenticated);
        replace(&mut limits.max_unauthenticated_per_address, self.max_unauthenticated_per_address);
        limits.rates = (!self.no_limits).then(|| self.rates());
        if self.no_limits {
            limits.handshake_rate = 0;
        }
        limits
    }

    fn rates(&self) -> RequestRates {
        let mut rates = RequestRates::default();
        if let Some(calls) = self.login_calls_per_minute {
            (rates.login_calls_per_minute, rates.login_calls_burst) = (calls, 2 * calls);
        }
        replace(&mut rates.login_commands_per_minute, self.login_commands_per_minute);
        replace(&mut rates.wrong_passwords_per_minute, self.wrong_passwords_per_minute);
        replace(&mut rates.taken_names_per_minute, self.taken_names_per_minute);
        rates
    }
}
