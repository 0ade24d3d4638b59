//! The settings of an agent. The binary reads flags and environment; nothing here reads either.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hive_wire::SatelliteName;
use hive_wire::backoff::BackoffLimits;
use hyper::Uri;
use secrecy::SecretString;

use crate::error::Error;
use crate::messages::Language;
use crate::policy::Policy;

/// The settings of one agent.
#[derive(Debug, Clone)]
pub struct Config {
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

impl Config {
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

impl Config {
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
    /// It exits with [`Error::KeyRejected`].
    Exit,
}

impl Default for KeyRejectionPolicy {
    fn default() -> Self {
        Self::Retry(Duration::from_hours(1))
    }
}

/// The account under which commands and sessions run. They get it as `PATH HOME USER SHELL LANG`, and nothing else of
/// the agent's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The directories in which programs are found.
    pub path: String,
    /// The home directory, which is the default working directory.
    pub home: String,
    /// The user's name.
    pub user: String,
    /// The login shell.
    pub shell: String,
    /// The locale.
    pub lang: String,
    /// Variables that the machine's owner adds to every command and session.
    pub extra: Vec<(String, String)>,
}

impl Account {
    /// The user of this process, from the user database.
    pub fn of_this_user() -> Self {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let home = user.as_ref().map(|user| user.dir.to_string_lossy().into_owned());
        let shell = user.as_ref().map(|user| user.shell.to_string_lossy().into_owned());
        Self {
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            home: home.filter(|home| !home.is_empty()).unwrap_or_else(|| "/".into()),
            user: user.map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name),
            shell: shell.filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into()),
            lang: "C.UTF-8".into(),
            extra: Vec::new(),
        }
    }
}

/// The address of a hive: `http://` or `https://`, a host, and optionally a base path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    is_tls: bool,
    authority: String,
    base_path: String,
}

impl ServerUrl {
    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Host and port.
    pub(crate) fn host_and_port(&self) -> String {
        let has_port = self.authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        match (has_port, self.is_tls) {
            (true, _) => self.authority.clone(),
            (false, true) => format!("{}:443", self.authority),
            (false, false) => format!("{}:80", self.authority),
        }
    }

    /// The URL of a path over HTTP.
    pub(crate) fn http(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// The URL of a path over WebSocket.
    pub(crate) fn websocket(&self, path: &str) -> String {
        let scheme = if self.is_tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}{path}", self.authority, self.base_path)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

impl std::str::FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |reason: &str| Error::Setting { setting: "--server", reason: reason.to_owned() };
        let uri: Uri = text.trim().parse().map_err(|_| refused("not a URL such as https://hive.example.com"))?;
        let is_tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(refused("a URL such as https://hive.example.com is needed, with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| refused("the host is missing"))?.as_str();
        // Credentials in the URL would appear in logs and in the process list.
        if authority.contains('@') || uri.query().is_some() {
            return Err(refused("a user, a password or a query have no place in it"));
        }
        Ok(Self { is_tls, authority: authority.to_owned(), base_path: uri.path().trim_end_matches('/').to_owned() })
    }
}

/// Checks a public base URL of a satellite: `http` or `https`, a host, no path.
pub fn parse_satellite_url(text: &str) -> Result<String, Error> {
    let refused = |reason: &str| Error::Setting { setting: "--satellite-url", reason: reason.to_owned() };
    let url: ServerUrl =
        text.parse().map_err(|_| refused("a base URL such as https://satellite.example.com is needed"))?;
    if url.base_path.is_empty() { Ok(url.to_string()) } else { Err(refused("it must have no path")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, &str)>) {
        let got = text.parse::<ServerUrl>().ok();
        let got = got.map(|url| (url.http("/x"), url.websocket("/ws/agent"), url.host_and_port()));
        let expected = expected.map(|(http, ws, host)| (http.to_owned(), ws.to_owned(), host.to_owned()));
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn a_server_url_names_both_interfaces() {
        check(
            "http://127.0.0.1:3000",
            Some(("http://127.0.0.1:3000/x", "ws://127.0.0.1:3000/ws/agent", "127.0.0.1:3000")),
        );
        check(
            "https://hive.example.com/base/",
            Some(("https://hive.example.com/base/x", "wss://hive.example.com/base/ws/agent", "hive.example.com:443")),
        );
        check("http://[::1]", Some(("http://[::1]/x", "ws://[::1]/ws/agent", "[::1]:80")));
        check("http://[::1]:81", Some(("http://[::1]:81/x", "ws://[::1]:81/ws/agent", "[::1]:81")));
        for bad in ["", "hive.example.com", "ftp://x", "http://user:secret@x", "http://x/?q=1", "http://"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_satellite_url_has_no_path() {
        assert_eq!(parse_satellite_url("https://sat.example.com/").unwrap(), "https://sat.example.com");
        assert!(parse_satellite_url("https://sat.example.com/path").is_err());
        assert!(parse_satellite_url("sat.example.com").is_err());
    }

    #[test]
    fn a_list_of_commands_leaves_no_relative_directory_to_look_in() {
        let name = SatelliteName::try_from("web-server-01").unwrap();
        let mut config = Config::new("http://localhost".parse().unwrap(), name, "data");
        config.account.path = "/usr/bin:.::bin:/bin".into();
        assert_eq!(config.account_of_programs(), config.account);
        config.policy.allowed_commands = vec!["echo".into()];
        assert_eq!(config.account_of_programs().path, "/usr/bin:/bin");
    }

    #[test]
    fn a_token_is_never_printed() {
        let name = SatelliteName::try_from("web-server-01").unwrap();
        let mut config = Config::new("http://localhost".parse().unwrap(), name, "data");
        config.registration_token = Some("hive_satellite_global_hunter2".into());
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
