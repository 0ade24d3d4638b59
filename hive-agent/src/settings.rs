//! The settings of the binary: flags, then environment, then defaults.
//!
//! Each variable has three names, `HIVE_X`, `DEPLOYSTACK_X` and `SATELLITE_X`. The first one that is set wins.

mod environment;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use hive_agent::config::{ServerUrl, parse_satellite_url};
use hive_agent::messages::describe;
use hive_agent::{AgentConfig, Error, KeyRejectionPolicy, Language};
use hive_wire::SatelliteName;

pub(crate) use environment::EnvVars;

/// The satellite agent: connects to a hive and runs the commands and sessions that the hive asks for.
#[derive(Debug, Default, Parser)]
#[command(name = "satellite-agent", version, about, after_help = ENVIRONMENT)]
pub(crate) struct Flags {
    /// The address of the hive, such as https://hive.example.com
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A file with the single-use registration token, or - for standard input; needed only at the first start
    #[arg(long, value_name = "FILE")]
    registration_token_file: Option<PathBuf>,
    /// The token itself. Every user of this machine can see it in the process list; prefer --registration-token-file
    #[arg(long, value_name = "TOKEN", conflicts_with = "registration_token_file")]
    registration_token: Option<SecretFlag>,
    /// The satellite's name: 10 to 32 characters of a-z, 0-9, '-' and '_'
    #[arg(long)]
    name: Option<String>,
    /// The directory of the key and the journal [default: persistent_data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The public base URL of this satellite, without a path
    #[arg(long, value_name = "URL")]
    satellite_url: Option<String>,
    /// A label to claim at registration; the token decides which are granted; may be repeated
    #[arg(long)]
    tag: Vec<String>,
    /// A program for power commands, called with ACTION DELAY_SECONDS MESSAGE
    #[arg(long, value_name = "PATH")]
    power_helper: Option<PathBuf>,
    /// Whether the hive may run commands and open sessions [default: true]
    #[arg(long, value_name = "BOOL")]
    allow_shell: Option<bool>,
    /// Whether the hive may shut down, reboot or suspend this machine [default: true]
    #[arg(long, value_name = "BOOL")]
    allow_power: Option<bool>,
    /// Commands must begin with one of these; a guard rail, not a sandbox
    #[arg(long, value_name = "PREFIX")]
    allowed_command: Vec<String>,
    /// Commands must not begin with one of these; a guard rail, not a sandbox
    #[arg(long, value_name = "PREFIX")]
    blocked_command: Vec<String>,
    /// The address of the local status pages, or "off" [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDR")]
    local_api: Option<String>,
    /// The largest number of commands at the same time; more of them wait at the hive [default: 512]
    #[arg(long, value_name = "N")]
    max_running: Option<usize>,
    /// The largest number of sessions at the same time; more of them are refused [default: 64]
    #[arg(long, value_name = "N")]
    max_sessions: Option<usize>,
    /// How long the processes of a session that ends may take to handle SIGHUP, in seconds [default: 0.3]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, hide = true)]
    session_kill_grace: Option<Duration>,
    /// How long a session without a link keeps claimed output, in seconds [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, hide = true)]
    claim_linger: Option<Duration>,
    /// The longest delay before the first reconnect, in seconds; it doubles each time [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    reconnect_initial: Option<Duration>,
    /// The longest delay before any reconnect, in seconds [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    reconnect_max: Option<Duration>,
    /// The interval at which rejected keys are offered again, in seconds [default: 3600]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, hide = true)]
    rejected_interval: Option<Duration>,
    /// The time limit for each step of connecting, in seconds [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, hide = true)]
    handshake_timeout: Option<Duration>,
    /// The format of the log on standard error
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_format: AgentLogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter of the tracing crate [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Used instead of the machine's boot id, to test reboots
    #[arg(long, hide = true)]
    boot_id: Option<String>,
}

const ENVIRONMENT: &str = "Environment: HIVE_SERVER_URL (or HIVE_BACKEND_URL), HIVE_REGISTRATION_TOKEN_FILE, HIVE_REGISTRATION_TOKEN, \
HIVE_SATELLITE_NAME, HIVE_DATA_DIR, HIVE_SATELLITE_URL, HIVE_TAGS, HIVE_POWER_HELPER, HIVE_ALLOW_SHELL, HIVE_ALLOW_POWER, HIVE_ALLOWED_COMMANDS, \
HIVE_BLOCKED_COMMANDS, HIVE_LOCAL_API, HIVE_LOG_LEVEL; each also with DEPLOYSTACK_ or SATELLITE_ in front. Lists are separated \
by commas. Flags win.

Exit codes: 0 stopped, 2 a setting, the name, the token or the data directory is wrong, 3 the server refused, 1 anything else.";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is needed".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "a number of seconds from 0 on is needed".to_owned())
}

impl Flags {
    /// Whether the token is visible in the process list.
    pub(crate) fn shows_token(&self) -> bool {
        self.registration_token.is_some()
    }
}

/// The value of a flag that is never printed.
#[derive(Clone)]
pub(crate) struct SecretFlag(String);

impl std::fmt::Debug for SecretFlag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl From<String> for SecretFlag {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum AgentLogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

fn wrong(setting: &'static str, reason: &str) -> Error {
    Error::Setting { setting, reason: reason.to_owned() }
}

fn either(flags: Vec<String>, environment: Vec<String>) -> Vec<String> {
    if flags.is_empty() { environment } else { flags }
}

impl Flags {
    /// Builds the configuration. The name is checked before anything else.
    pub(crate) fn into_config<F: Fn(&str) -> Option<String>>(
        self,
        environment: &EnvVars<F>,
    ) -> Result<AgentConfig, Error> {
        let name = self.name.or_else(|| environment.get("SATELLITE_NAME")).unwrap_or_default();
        let name = SatelliteName::try_from(name)?;
        let server = self.server.or_else(|| environment.get("SERVER_URL")).or_else(|| environment.get("BACKEND_URL"));
        let server: ServerUrl = server
            .ok_or_else(|| wrong("--server", "it is missing; give the address of the hive, or set HIVE_SERVER_URL"))?
            .parse()?;
        let data_dir = self.data_dir.or_else(|| environment.get("DATA_DIR").map(Into::into));
        let mut config = AgentConfig::new(server, name, data_dir.unwrap_or_else(|| "persistent_data".into()));

        let token = match (self.registration_token, self.registration_token_file) {
            // A token on the command line replaces both variables, so that they cannot contradict it.
            (None, None) => (
                environment.get("REGISTRATION_TOKEN").map(SecretFlag),
                environment.get("REGISTRATION_TOKEN_FILE").map(PathBuf::from),
            ),
            given => given,
        };
        config.registration_token = token.0.map(|SecretFlag(token)| token.trim().into());
        config.registration_token_file = token.1;
        let url = self.satellite_url.or_else(|| environment.get("SATELLITE_URL"));
        config.satellite_url = url.map(|url| parse_satellite_url(&url)).transpose()?;
        config.tags = either(self.tag, environment.list("TAGS"));
        config.power_helper = absolute(self.power_helper.or_else(|| environment.get("POWER_HELPER").map(Into::into)))?;
        let allow_shell =
            self.allow_shell.map_or_else(|| environment.flag("ALLOW_SHELL", "--allow-shell"), |flag| Ok(Some(flag)))?;
        let allow_power =
            self.allow_power.map_or_else(|| environment.flag("ALLOW_POWER", "--allow-power"), |flag| Ok(Some(flag)))?;
        config.policy.allow_shell = allow_shell.unwrap_or(true);
        config.policy.allow_power_commands = allow_power.unwrap_or(true);
        config.policy.allowed_commands = either(self.allowed_command, environment.list("ALLOWED_COMMANDS"));
        config.policy.blocked_commands = either(self.blocked_command, environment.list("BLOCKED_COMMANDS"));
        config.local_api = match self.local_api.or_else(|| environment.get("LOCAL_API")).as_deref() {
            None => config.local_api,
            Some("off") => None,
            Some(address) => Some(
                address
                    .parse()
                    .map_err(|_| wrong("--local-api", "an address such as 127.0.0.1:3001, or off, is needed"))?,
            ),
        };
        config.max_running = self.max_running.unwrap_or(config.max_running);
        config.max_sessions = self.max_sessions.unwrap_or(config.max_sessions);
        config.session_kill_grace = self.session_kill_grace.unwrap_or(config.session_kill_grace);
        config.claim_linger = self.claim_linger.unwrap_or(config.claim_linger);
        config.reconnect.initial = self.reconnect_initial.unwrap_or(config.reconnect.initial);
        config.reconnect.max = self.reconnect_max.unwrap_or(config.reconnect.max);
        config.handshake_timeout = self.handshake_timeout.unwrap_or(config.handshake_timeout);
        config.key_rejection = self.rejected_interval.map_or(config.key_rejection, KeyRejectionPolicy::Retry);
        config.boot_id = self.boot_id;
        config.language = environment.language();
        // What the agent was started with is what its owner expects of commands as well.
        let account = &mut config.account;
        for (field, variable) in [(&mut account.path, "PATH"), (&mut account.home, "HOME"), (&mut account.lang, "LANG")]
        {
            if let Some(value) = (environment.variable)(variable).filter(|value| !value.is_empty()) {
                *field = value;
            }
        }
        Ok(config)
    }
}

/// Makes the path absolute, because the helper is started from another directory.
fn absolute(path: Option<PathBuf>) -> Result<Option<PathBuf>, Error> {
    let resolve = |path: PathBuf| {
        std::path::absolute(path).map_err(|error| wrong("--power-helper", &describe(&error, Language::English)))
    };
    path.map(resolve).transpose()
}

#[cfg(test)]
mod tests;
