//! Where a call comes from: the socket, or what a trusted proxy says.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use hive_core::Error;
use tokio::time::Instant;

use crate::error::Failure;
use crate::state::AppState;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// How often the log says that a proxy sends a header that cannot be read.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The caller's address; none where the router is mounted in an app that does not tell it.
    pub(crate) address: Option<IpAddr>,
    /// Whether a trusted proxy told the address.
    pub(crate) is_forwarded: bool,
}

impl Peer {
    /// The address as the hive takes it.
    pub(crate) fn ip(self) -> Option<String> {
        self.address.map(|address| address.to_string())
    }
}

impl FromRequestParts<AppState> for Peer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        find_peer(socket, &parts.headers, |address| state.is_trusted_proxy(address)).map_err(|UnreadableHop| {
            state.unreadable_hops().warn(socket, Instant::now());
            Error::invalid("X-Forwarded-For", "the address that the proxy added cannot be read").into()
        })
    }
}

/// A trusted proxy names an address that is none.
#[derive(Debug, PartialEq, Eq)]
struct UnreadableHop;

/// Walks back from the socket through the proxies we trust, to the first address that we do not. What stands in front of
/// that one was written by the caller, and is not looked at.
fn find_peer(
    socket: Option<IpAddr>,
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Peer, UnreadableHop> {
    let mut peer = Peer { address: socket, is_forwarded: false };
    for hop in forwarded_hops(headers).into_iter().rev() {
        if !peer.address.is_some_and(&is_trusted) {
            break;
        }
        peer = Peer { address: Some(read_hop(hop).ok_or(UnreadableHop)?), is_forwarded: true };
    }
    Ok(peer)
}

/// The elements of all lines of the header, in their order; empty ones are left out (RFC 9110, section 5.6.1).
fn forwarded_hops(headers: &HeaderMap) -> Vec<&[u8]> {
    let lines = headers.get_all(FORWARDED_FOR).iter();
    let hops = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    hops.filter(|hop| !hop.is_empty()).collect()
}

/// Reads an address as proxies write it: bare, in brackets, with a port, in quotes, or as IPv4 mapped into IPv6.
fn read_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(hop).ok()?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6);
    let with_port = || SocketAddr::from_str(text).ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(in_brackets).or_else(with_port)?;
    Some(address.to_canonical())
}

/// Says that requests of a trusted proxy are refused: once a minute, with how many there were.
#[derive(Debug, Default)]
pub(crate) struct UnreadableHops(Mutex<Refused>);

#[derive(Debug, Default)]
struct Refused {
    count: u64,
    warned_at: Option<Instant>,
}

impl Refused {
    /// Counts one more; how many there were since the last warning, where it is time for another.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.warned_at.is_some_and(|at| now < at + WARNING_INTERVAL) {
            return None;
        }
        self.warned_at = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

impl UnreadableHops {
    fn warn(&self, proxy: Option<IpAddr>, now: Instant) {
        let due = self.0.lock().expect("nothing panics while it holds this lock").note(now);
        if let (Some(count), Some(proxy)) = (due, proxy) {
            tracing::warn!(
                proxy.address = %proxy,
                refused = count,
                "requests of a trusted proxy are refused: it adds something to X-Forwarded-For that is no address"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn found(socket: &str, lines: &[&[u8]]) -> Result<Peer, UnreadableHop> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, axum::http::HeaderValue::from_bytes(line).unwrap());
        }
        let network: ipnet::IpNet = "10.0.0.0/8".parse().unwrap();
        find_peer(Some(socket.parse().unwrap()), &headers, |address| network.contains(&address))
    }

    fn check(socket: &str, forwarded: &str, expected: &str, is_forwarded: bool) {
        let expected = Peer { address: Some(expected.parse().unwrap()), is_forwarded };
        assert_eq!(found(socket, &[forwarded.as_bytes()]), Ok(expected), "{forwarded}");
    }

    fn check_unreadable(forwarded: &[u8]) {
        assert_eq!(found(PROXY, &[forwarded]), Err(UnreadableHop), "{}", forwarded.escape_ascii());
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        check(PROXY, "203.0.113.7", "203.0.113.7", true);
        check("198.51.100.9", "203.0.113.7", "198.51.100.9", false);
        check("198.51.100.9", "not an address", "198.51.100.9", false);
    }

    #[test]
    fn what_a_caller_puts_in_front_is_not_believed() {
        check(PROXY, "1.2.3.4, 203.0.113.7", "203.0.113.7", true);
        check(PROXY, "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7", true);
        check(PROXY, "not an address, 203.0.113.7", "203.0.113.7", true);
        let expected = Ok(Peer { address: Some("203.0.113.7".parse().unwrap()), is_forwarded: true });
        assert_eq!(found(PROXY, &[b"\xff\xfe, 203.0.113.7"]), expected);
        assert_eq!(found(PROXY, &[b"\xff", b"203.0.113.7, 10.0.0.2"]), expected, "the lines are one list");
    }

    #[test]
    fn an_address_is_read_in_each_form_that_proxies_write() {
        for hop in ["203.0.113.7", "203.0.113.7:4711", "::ffff:203.0.113.7", "[::ffff:203.0.113.7]:4711"] {
            check(PROXY, hop, "203.0.113.7", true);
        }
        for hop in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:4711", "\"[2001:db8::7]:4711\""] {
            check(PROXY, hop, "2001:db8::7", true);
        }
        check(PROXY, "203.0.113.7, 10.0.0.2:443, [::ffff:10.0.0.3]:443", "203.0.113.7", true);
        check(PROXY, ", ,203.0.113.7,,\t10.0.0.2 ,", "203.0.113.7", true);
        check(PROXY, "", PROXY, false);
    }

    #[test]
    fn what_a_proxy_adds_and_is_no_address_is_refused() {
        for hop in ["unknown", "1.2.3.4:99999", "[1.2.3.4]", "[2001:db8::7", "203.0.113.7:", "203.0.113", "_hidden"] {
            check_unreadable(hop.as_bytes());
        }
        check_unreadable(b"\xff");
        check_unreadable(b"203.0.113.7\xa0");
        check_unreadable(b"203.0.113.7, nonsense, 10.0.0.2");
    }

    #[test]
    fn the_log_says_so_once_a_minute() {
        let now = Instant::now();
        let mut refused = Refused::default();
        assert_eq!(refused.note(now), Some(1));
        for second in 1..60 {
            assert_eq!(refused.note(now + Duration::from_secs(second)), None);
        }
        assert_eq!(refused.note(now + WARNING_INTERVAL), Some(60));
    }
}
