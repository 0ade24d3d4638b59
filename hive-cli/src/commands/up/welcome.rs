//! What `hive up` prints once the hive and the satellite run.

use std::path::Path;

use hive_core::wire::SatelliteId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::error::Result;
use crate::output::{self, Printer};
use crate::settings::{UP_DIR, UP_FILE};

/// Prints the first user's password.
pub(super) fn password(user: &str, password: &SecretString) -> Result<()> {
    output::text(&format!("User {user}, password {} (shown this once)", password.expose_secret()))
}

pub(super) struct WelcomeMessage<'a> {
    pub(super) url: &'a str,
    pub(super) name: &'a str,
    pub(super) satellite_id: SatelliteId,
    pub(super) data_dir: &'a Path,
    pub(super) user: &'a str,
    pub(super) password: Option<SecretString>,
    /// The current profile, if there is one: other commands use it and not this hive.
    pub(super) login: Option<String>,
}

impl WelcomeMessage<'_> {
    pub(super) fn print(&self, printer: Printer) -> Result<()> {
        if printer.is_json() {
            return output::json_line(&json!({
                "event": "up",
                "http": self.url,
                "username": self.user,
                "password": self.password.as_ref().map(ExposeSecret::expose_secret),
                "satellite_id": self.satellite_id,
                "satellite_name": self.name,
            }));
        }
        output::text(&self.text())
    }

    fn text(&self) -> String {
        let Self { url, name, .. } = self;
        let (login, any_address) = (self.how_to_select(), any_address(url));
        format!(
            "The hive is at {url}, and this machine is its satellite {name}. Stop it with Ctrl-C.\n\
             \n\
             {login}\n  \
               hive satellites list\n  \
               hive exec {name} -- uname -a\n  \
               hive exec all --shell 'uptime; df -h /'\n  \
               hive shell {name}\n  \
               hive audit list\n\
             \n\
             A second machine joins with two lines; start this hive with --listen {any_address} to be reached from there:\n  \
               hive tokens create > token\n  \
               satellite-agent --server {url} --name second-machine --registration-token-file token"
        )
    }

    /// How other commands select this hive.
    fn how_to_select(&self) -> String {
        let Self { url, data_dir, user, login, .. } = self;
        if *data_dir != Path::new(UP_DIR) {
            let file = data_dir.join(UP_FILE);
            return format!(
                "Try, in another terminal, after `hive login {url} --username {user}` (or with the key in {}):",
                file.display()
            );
        }
        let here = "Try, in another terminal in this directory:";
        match login {
            Some(name) => format!("{here}\n  export HIVE_URL={url}      # else the profile {name} is used"),
            None => here.to_owned(),
        }
    }
}

/// Returns the address to listen on for other machines, with the same port.
fn any_address(url: &str) -> String {
    // The last colon: an IPv6 address has others.
    let port = url.rsplit_once(':').map_or(url, |(_, port)| port);
    format!("0.0.0.0:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::id::Seed;

    #[test]
    fn the_welcome_says_what_to_try() {
        let welcome = WelcomeMessage {
            url: "http://127.0.0.1:3100",
            name: "build-server-7",
            satellite_id: SatelliteId::new(Seed { unix_millis: 1, random: [0; 10] }),
            data_dir: Path::new(UP_DIR),
            user: "admin",
            password: None,
            login: None,
        };
        let text = welcome.text();
        for line in [
            "The hive is at http://127.0.0.1:3100",
            "\n  hive exec build-server-7 -- uname -a\n",
            "start this hive with --listen 0.0.0.0:3100 to be reached from there:\n",
            "\n  hive tokens create > token\n",
            "\n  satellite-agent --server http://127.0.0.1:3100 --name second-machine --registration-token-file token",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        assert!(!text.contains("export"));
        let text = WelcomeMessage { login: Some("prod".into()), ..welcome }.text();
        assert!(text.contains("\n  export HIVE_URL=http://127.0.0.1:3100 "), "{text}");
    }
}
