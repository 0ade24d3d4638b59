//! What an agent needs to know before it starts. Flags and environment are the binary's business: nothing here reads
//! either.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hive_wire::SatelliteName;
use hyper::Uri;
use secrecy::SecretString;

use crate::backoff::Limits;
use crate::error::Error;
use crate::messages::Language;
use crate::policy::Policy;

/// The settings of one agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its hive.
    pub server: ServerUrl,
    /// The name it registers under.
    pub name: SatelliteName,
    /// Spent at the first start; needed again only when the server no longer accepts the stored key.
    pub registration_token: Option<SecretString>,
    /// A file with that token, read when it is needed; `-` is standard input.
    pub registration_token_file: Option<PathBuf>,
    /// What happens when the server accepts none of the stored keys, and there is no token.
    pub when_rejected: WhenRejected,
    /// Where its key, its journal and the output of its commands lie.
    pub data_dir: PathBuf,
    /// Its public base URL, told at registration.
    pub satellite_url: Option<String>,
    /// Labels to claim at registration. The token says which of them it gets.
    pub tags: Vec<String>,
    /// What the hive may do here.
    pub policy: Policy,
    /// Run instead of the system's own tools for power commands, with the arguments `action delay_seconds message`.
    pub power_helper: Option<PathBuf>,
    /// Where the local status pages are served; nowhere if `None`.
    pub local_api: Option<SocketAddr>,
    /// The environment of commands and terminals.
    pub account: Account,
    /// How fast lost connections are tried again.
    pub reconnect: Limits,
    /// How long connecting may take, each of TCP with TLS, the upgrade and the handshake.
    pub handshake_timeout: Duration,
    /// The most commands that run at the same time, changes of power left out; more of them wait at the hive.
    pub max_running: usize,
    /// The most terminals at the same time, those included whose end the hive does not know yet; more of them fail with
    /// `RATE_LIMITED`.
    pub max_sessions: usize,
    /// How long the processes of a terminal that ends may take to hang up, before they are ended by force.
    pub session_kill_grace: Duration,
    /// How long a terminal without a link keeps output for somebody who needs it, and lets its program wait.
    pub claim_linger: Duration,
    /// Names the machine's current boot; asked from the kernel unless given.
    pub boot_id: Option<String>,
    /// The language of messages for people.
    pub language: Language,
}

impl Config {
    /// The defaults for a satellite of this name.
    pub fn new(server: ServerUrl, name: SatelliteName, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            server,
            name,
            registration_token: None,
            registration_token_file: None,
            when_rejected: WhenRejected::default(),
            data_dir: data_dir.into(),
            satellite_url: None,
            tags: Vec::new(),
            policy: Policy::default(),
            power_helper: None,
            local_api: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            account: Account::of_this_user(),
            reconnect: Limits::default(),
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
    /// The account as programs get it. Where the policy lists commands, relative directories in `PATH` are left out: a request
    /// says which directory they would be looked up in.
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

/// What an agent does whose keys the server has all rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenRejected {
    /// It offers them again, at most once in this time: the server may be restored to a state that knows one of them.
    KeepTrying(Duration),
    /// It ends with [`Error::KeyRejected`].
    GiveUp,
}

impl Default for WhenRejected {
    fn default() -> Self {
        Self::KeepTrying(Duration::from_hours(1))
    }
}

/// What commands and terminals get as `PATH HOME USER SHELL LANG`. Nothing else of the agent's environment reaches them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Where programs are found.
    pub path: String,
    /// The home directory, where commands run unless they say otherwise.
    pub home: String,
    /// The user's name.
    pub user: String,
    /// The login shell.
    pub shell: String,
    /// The locale.
    pub lang: String,
    /// Added to every command and terminal by the machine's owner.
    pub extra: Vec<(String, String)>,
}

impl Account {
    /// The user this process runs as, from the user database.
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

/// The address of a hive: `http://` or `https://`, a host, and perhaps a path it is mounted under.
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

    /// Host and port, to connect to.
    pub(crate) fn host_and_port(&self) -> String {
        let has_port = self.authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        match (has_port, self.is_tls) {
            (true, _) => self.authority.clone(),
            (false, true) => format!("{}:443", self.authority),
            (false, false) => format!("{}:80", self.authority),
        }
    }

    /// The address of a path of its HTTP interface.
    pub(crate) fn http(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// The address of a path of its WebSocket interface.
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
