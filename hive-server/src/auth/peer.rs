//! Where a call comes from: the socket, or what a trusted proxy says.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use hive_core::Error;
use ipnet::IpNet;
use tokio::time::Instant;

use super::forwarded::{UnreadableHop, UnreadableHops, forwarded_hops, read_hop};
use crate::error::Failure;

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

impl<S> FromRequestParts<S> for Peer
where
    S: Send + Sync,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        TrustedProxies::from_ref(state).peer(socket, &parts.headers).map_err(|UnreadableHop| {
            Error::invalid("X-Forwarded-For", "the address that the proxy added cannot be read").into()
        })
    }
}

/// The proxies whose `X-Forwarded-For` is believed. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TrustedProxies(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    networks: Vec<IpNet>,
    unreadable_hops: UnreadableHops,
}

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(Arc::new(Inner { networks, unreadable_hops: UnreadableHops::default() }))
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.networks.iter().any(|network| network.contains(&address))
    }

    /// Where a call comes from whose socket has this address.
    fn peer(&self, socket: Option<IpAddr>, headers: &HeaderMap) -> Result<Peer, UnreadableHop> {
        let found = find_peer(socket, headers, |address| self.contains(address));
        if found.is_err() {
            self.0.unreadable_hops.warn(socket, Instant::now());
        }
        found
    }
}

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

#[cfg(test)]
mod tests {
    use super::super::forwarded::FORWARDED_FOR;
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
}
