//! The settings of an agent. The binary reads flags and environment; nothing here reads either.

mod account;
mod server_url;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hive_wire::SatelliteName;
use hive_wire::backoff::BackoffLimits;
use secrecy::SecretString;

use crate::language::Language;
use crate::policy::Policy;

pub use account::Account;
pub use server_url::{ServerUrl, parse_satellite_url};

hive_wire::with_setters! {
    /// The settings of one agent.
    #[derive(Debug, Clone)]
    pub struct AgentConfig {
        /// The address of the hive.
        pub server: ServerUrl,
        /// The name under which the satellite registers.
        pub name: SatelliteName,
        /// Used at the first start. Needed again only if the server no longer accepts any stored key.
        pub registration_token: Option<SecretString>,
        /// A file with the token, read when the token is needed; `-` is standard input.
        pub registration_token_file: Option<PathBuf>,
        /// What happens if the server accepts none of the stored keys and there is no token.
        pub key_rejection: KeyRejectionPolicy,
        /// The directory of the keys, the journal and the output of commands.
        pub data_dir: PathBuf,
        /// The satellite's public base URL, sent at registration.
        pub satellite_url: Option<String>,
        /// Labels to claim at registration. The token decides which of them are granted.
        pub tags: Vec<String>,
        /// What the hive may do on this machine.
        pub policy: Policy,
        /// A program for power commands, with the arguments `action delay_seconds message`, instead of the system's tools.
        pub power_helper: Option<PathBuf>,
        /// The address of the local status pages; `None` for no pages.
        pub local_api: Option<SocketAddr>,
        /// The environment of commands and sessions.
        pub account: Account,
        /// The delays between attempts to connect.
        pub reconnect: BackoffLimits,
        /// The time limit for each step of connecting: TCP with TLS, the upgrade, the handshake.
        pub handshake_timeout: Duration,
        /// The largest number of commands that run at the same time, without power commands. More of them wait at the hive.
        pub max_running: usize,
        /// The largest number of sessions at the same time, including those whose end the hive has not acknowledged.
        /// Further ones fail with `RATE_LIMITED`.
        pub max_sessions: usize,
        /// How long the processes of a session that ends may take to handle SIGHUP before they are killed.
        pub session_kill_grace: Duration,
        /// How long a session without a link keeps claimed output and blocks its program.
        pub claim_linger: Duration,
        /// The id of the machine's boot; read from the kernel by default.
        pub boot_id: Option<String>,
        /// The language of messages for people.
        pub language: Language,
    }
}

impl AgentConfig {
    /// The default settings of a satellite.
    pub fn new(server: ServerUrl, name: SatelliteName, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            server,
            name,
            registration_token: None,
            registration_token_file: None,
            key_rejection: KeyRejectionPolicy::default(),
            data_dir: data_dir.into(),
            satellite_url: None,
            tags: Vec::new(),
            policy: Policy::default(),
            power_helper: None,
            // Port 0: two agents on one machine must not conflict by default.
            local_api: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            account: Account::of_this_user(),
            reconnect: BackoffLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            max_running: 512,
            max_sessions: 64,
            session_kill_grace: Duration::from_millis(300),
            claim_linger: Duration::from_secs(30),
            boot_id: None,
            language: Language::English,
        }
    }
}

impl AgentConfig {
    /// The account as programs get it. If the policy lists commands, relative directories are removed from `PATH`: a
    /// request could choose the directory in which they are looked up.
    pub(crate) fn account_of_programs(&self) -> Account {
        let mut account = self.account.clone();
        if self.policy.has_list() {
            let paths = account.extra.iter_mut().filter(|(key, _)| key == "PATH").map(|(_, path)| path);
            for path in paths.chain([&mut account.path]) {
                let absolute: Vec<_> = path.split(':').filter(|dir| dir.starts_with('/')).collect();
                *path = absolute.join(":");
            }
        }
        account
    }
}

/// What an agent does if the server rejects all of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRejectionPolicy {
    /// It offers them again at this interval: the server may be restored to a state that knows one of them.
    Retry(Duration),
    /// It exits with [`Error::KeyRejected`](crate::Error::KeyRejected).
    Exit,
}

impl Default for KeyRejectionPolicy {
    fn default() -> Self {
        Self::Retry(Duration::from_hours(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_commands_leaves_no_relative_directory_to_look_in() {
        let name = SatelliteName::try_from("web-server-01").unwrap();
        let mut config = AgentConfig::new("http://localhost".parse().unwrap(), name, "data");
        config.account.path = "/usr/bin:.::bin:/bin".into();
        assert_eq!(config.account_of_programs(), config.account);
        config.policy.allowed_commands = vec!["echo".into()];
        assert_eq!(config.account_of_programs().path, "/usr/bin:/bin");
    }

    #[test]
    fn a_token_is_never_printed() {
        let name = SatelliteName::try_from("web-server-01").unwrap();
        let mut config = AgentConfig::new("http://localhost".parse().unwrap(), name, "data");
        config.registration_token = Some("hive_satellite_global_hunter2".into());
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
