//! The address of a caller: that of the socket, or the one that a trusted proxy forwards.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use hive_core::Error;
use ipnet::IpNet;
use tokio::time::Instant;

use super::forwarded::{InvalidHop, InvalidHopWarnings, forwarded_hops, parse_hop};
use crate::error::HttpError;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The caller's address; `None` where the router is mounted in an app that sets no `ConnectInfo`.
    pub(crate) address: Option<IpAddr>,
    /// Whether a trusted proxy forwarded the address.
    pub(crate) is_forwarded: bool,
}

impl Peer {
    /// The address as text, for the audit log.
    pub(crate) fn ip(self) -> Option<String> {
        self.address.map(|address| address.to_string())
    }
}

impl<S> FromRequestParts<S> for Peer
where
    S: Send + Sync,
    TrustedProxies: FromRef<S>,
{
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        // A socket for both families shows IPv4 addresses mapped into IPv6.
        let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        TrustedProxies::from_ref(state).peer(socket, &parts.headers).map_err(|InvalidHop| {
            Error::invalid("X-Forwarded-For", "the address that the proxy added cannot be read").into()
        })
    }
}

/// The proxies whose `X-Forwarded-For` is trusted. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TrustedProxies(Arc<PeerInner>);

#[derive(Debug)]
struct PeerInner {
    networks: Vec<IpNet>,
    warnings: InvalidHopWarnings,
}

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(Arc::new(PeerInner { networks, warnings: InvalidHopWarnings::default() }))
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.networks.iter().any(|network| network.contains(&address))
    }

    /// Finds the caller of a request. A header that cannot be parsed is reported to the log.
    fn peer(&self, socket: Option<IpAddr>, headers: &HeaderMap) -> Result<Peer, InvalidHop> {
        let found = find_peer(socket, headers, |address| self.contains(address));
        if found.is_err() {
            self.0.warnings.warn(socket, Instant::now());
        }
        found
    }
}

/// Walks back from the socket through the trusted proxies, to the first address that is not one of them. Entries in front of
/// that address may be forged by the caller and are ignored.
fn find_peer(
    socket: Option<IpAddr>,
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Peer, InvalidHop> {
    let mut peer = Peer { address: socket, is_forwarded: false };
    // From the right: each proxy appends the address of the connection that it accepted.
    for hop in forwarded_hops(headers).into_iter().rev() {
        if !peer.address.is_some_and(&is_trusted) {
            break;
        }
        peer = Peer { address: Some(parse_hop(hop).ok_or(InvalidHop)?), is_forwarded: true };
    }
    Ok(peer)
}

#[cfg(test)]
mod tests {
    use super::super::forwarded::FORWARDED_FOR;
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn found(socket: &str, lines: &[&[u8]]) -> Result<Peer, InvalidHop> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, axum::http::HeaderValue::from_bytes(line).unwrap());
        }
        let network: IpNet = "10.0.0.0/8".parse().unwrap();
        find_peer(Some(socket.parse().unwrap()), &headers, |address| network.contains(&address))
    }

    fn check(socket: &str, forwarded: &str, expected: &str, is_forwarded: bool) {
        let expected = Peer { address: Some(expected.parse().unwrap()), is_forwarded };
        assert_eq!(found(socket, &[forwarded.as_bytes()]), Ok(expected), "{forwarded}");
    }

    fn check_invalid(forwarded: &[u8]) {
        assert_eq!(found(PROXY, &[forwarded]), Err(InvalidHop), "{}", forwarded.escape_ascii());
    }

    #[test]
    fn only_a_trusted_proxy_forwards_an_address() {
        check(PROXY, "203.0.113.7", "203.0.113.7", true);
        check("198.51.100.9", "203.0.113.7", "198.51.100.9", false);
        check("198.51.100.9", "not an address", "198.51.100.9", false);
    }

    #[test]
    fn entries_in_front_of_the_callers_address_are_ignored() {
        check(PROXY, "1.2.3.4, 203.0.113.7", "203.0.113.7", true);
        check(PROXY, "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7", true);
        check(PROXY, "not an address, 203.0.113.7", "203.0.113.7", true);
        let expected = Ok(Peer { address: Some("203.0.113.7".parse().unwrap()), is_forwarded: true });
        assert_eq!(found(PROXY, &[b"\xff\xfe, 203.0.113.7"]), expected);
        assert_eq!(found(PROXY, &[b"\xff", b"203.0.113.7, 10.0.0.2"]), expected, "the lines are one list");
    }

    #[test]
    fn each_form_that_proxies_write_is_parsed() {
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
    fn an_unparsable_address_of_a_trusted_proxy_is_refused() {
        for hop in ["unknown", "1.2.3.4:99999", "[1.2.3.4]", "[2001:db8::7", "203.0.113.7:", "203.0.113", "_hidden"] {
            check_invalid(hop.as_bytes());
        }
        check_invalid(b"\xff");
        check_invalid(b"203.0.113.7\xa0");
        check_invalid(b"203.0.113.7, nonsense, 10.0.0.2");
    }
}
