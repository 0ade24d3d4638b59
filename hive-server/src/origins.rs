//! The names under which browsers reach the hive, each with its port.
//!
//! They are the external URL, the origins of the configuration, and on a loopback listener its addresses and `localhost`. A page of
//! another origin cannot act with the credentials of a person, also where a name that it owns resolves to this machine (DNS
//! rebinding).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// A scheme, a host and a port, as browsers send it in `Origin` (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    is_https: bool,
    /// In lower case; an IPv6 address in brackets.
    host: String,
    port: u16,
}

/// A text that is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an origin such as https://hive.example.com or http://10.0.0.5:3000")]
pub struct OriginError;

impl Origin {
    fn default_port(is_https: bool) -> u16 {
        if is_https { 443 } else { 80 }
    }

    /// The origin of a URL, whatever its path is.
    fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        format!("{scheme}://{authority}").parse().ok()
    }

    /// Whether a `Host` names this origin. Clients leave a default port out.
    fn is_host(&self, host: &str) -> bool {
        let default = Self::default_port(self.is_https);
        split_port(host, default).is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let (scheme, authority) = text.split_once("://").ok_or(OriginError)?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(OriginError),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = split_port(authority, Self::default_port(is_https)).ok_or(OriginError)?;
        Ok(Self { is_https, host, port })
    }
}

/// Splits `host:port`. The host is returned in lower case.
fn split_port(authority: &str, default_port: u16) -> Option<(String, u16)> {
    // The colons of an IPv6 address are inside of its brackets.
    let end_of_host = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[end_of_host..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(end_of_host + colon);
            let port = port[1..].bytes().all(|b| b.is_ascii_digit()).then(|| port[1..].parse().ok()).flatten()?;
            (host, port)
        }
        None => (authority, default_port),
    };
    let is_address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match is_address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    is_host.then(|| (host.to_ascii_lowercase(), port))
}

/// The names of the hive. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct OwnOrigins(Arc<[Origin]>);

impl OwnOrigins {
    pub(crate) fn new(external_url: &str, configured: &[Origin], listen: SocketAddr) -> Self {
        let mut origins: Vec<_> = Origin::of_url(external_url).into_iter().chain(configured.iter().cloned()).collect();
        if listen.ip().is_loopback() {
            let hosts = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string(), format!("[{}]", Ipv6Addr::LOCALHOST)];
            origins.extend(hosts.map(|host| Origin { is_https: false, host, port: listen.port() }));
        }
        Self(origins.into())
    }

    /// Whether a page of this origin is one of the hive.
    pub(crate) fn contains(&self, origin: &str) -> bool {
        // Not with a path or a slash at the end, which `Origin` never has.
        let origin = (!origin.ends_with('/')).then(|| origin.parse::<Origin>().ok()).flatten();
        origin.is_some_and(|origin| self.0.contains(&origin))
    }

    /// Whether a `Host` is one of the names of the hive.
    pub(crate) fn is_own_host(&self, host: &str) -> bool {
        self.0.iter().any(|origin| origin.is_host(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnOrigins {
        let configured = ["http://10.0.0.5:3000".parse().unwrap()];
        OwnOrigins::new("https://Hive.example.com/fleet", &configured, "127.0.0.1:4000".parse().unwrap())
    }

    #[test]
    fn a_page_of_another_origin_is_not_one_of_the_hive() {
        let check = |origin: &str, expected: bool| assert_eq!(own().contains(origin), expected, "{origin:?}");
        check("https://hive.example.com", true);
        check("HTTPS://HIVE.example.com:443", true);
        check("http://hive.example.com", false);
        check("https://hive.example.com:8443", false);
        check("https://hive.example.com.evil.com", false);
        check("https://evil.example.com", false);
        check("http://10.0.0.5:3000", true);
        check("http://10.0.0.5", false);
        check("http://127.0.0.1:4000", true);
        check("http://localhost:4000", true);
        check("http://[::1]:4000", true);
        check("http://localhost:3000", false);
        check("https://localhost:4000", false);
        for odd in
            ["null", "", "hive.example.com", "https://", "https://a@hive.example.com", "https://hive.example.com/"]
        {
            check(odd, false);
        }
    }

    #[test]
    fn a_host_is_compared_with_its_port() {
        let check = |host: &str, expected: bool| assert_eq!(own().is_own_host(host), expected, "{host:?}");
        check("hive.example.com", true);
        check("Hive.Example.com:443", true);
        check("hive.example.com:80", false);
        check("10.0.0.5:3000", true);
        check("10.0.0.5", false);
        check("[::1]:4000", true);
        check("::1:4000", false);
        check("rebound.evil.com:4000", false);
        check("localhost:+4000", false);
        check("", false);
    }

    #[test]
    fn other_listeners_have_no_names_of_their_own() {
        let own = OwnOrigins::new("", &[], "0.0.0.0:3000".parse().unwrap());
        assert!(!own.contains("http://localhost:3000") && !own.is_own_host("0.0.0.0:3000"));
    }
}
