//! The address of a hive, and that of a satellite.

use std::fmt;

use hyper::Uri;

use crate::error::Error;

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
        // The last colon of an IPv6 address stands inside its brackets.
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
        let invalid = |reason: &str| Error::Setting { setting: "--server", reason: reason.to_owned() };
        let uri: Uri = text.trim().parse().map_err(|_| invalid("not a URL such as https://hive.example.com"))?;
        let is_tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(invalid("a URL such as https://hive.example.com is needed, with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| invalid("the host is missing"))?.as_str();
        // Credentials in the URL would appear in logs and in the process list.
        if authority.contains('@') || uri.query().is_some() {
            return Err(invalid("a user, a password or a query have no place in it"));
        }
        // Every path that is appended begins with a slash.
        Ok(Self { is_tls, authority: authority.to_owned(), base_path: uri.path().trim_end_matches('/').to_owned() })
    }
}

/// Checks a public base URL of a satellite: `http` or `https`, a host, no path.
pub fn parse_satellite_url(text: &str) -> Result<String, Error> {
    let invalid = |reason: &str| Error::Setting { setting: "--satellite-url", reason: reason.to_owned() };
    let url: ServerUrl =
        text.parse().map_err(|_| invalid("a base URL such as https://satellite.example.com is needed"))?;
    if url.base_path.is_empty() { Ok(url.to_string()) } else { Err(invalid("it must have no path")) }
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
}
