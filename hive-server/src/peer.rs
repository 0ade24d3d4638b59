//! Where a call comes from: the socket, or what a trusted proxy says.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::state::AppState;

const FORWARDED_FOR: &str = "x-forwarded-for";

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
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        Ok(find_peer(socket, &parts.headers, |address| state.is_trusted_proxy(address)))
    }
}

/// Walks back from the socket through the proxies we trust, to the first address that we do not.
fn find_peer(socket: Option<IpAddr>, headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Peer {
    let mut peer = Peer { address: socket, is_forwarded: false };
    for hop in forwarded_hops(headers).iter().rev() {
        let Some(address) = peer.address.filter(|address| is_trusted(*address)).and(hop.parse().ok()) else {
            break;
        };
        peer = Peer { address: Some(address), is_forwarded: true };
    }
    peer
}

fn forwarded_hops(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn check(socket: &str, forwarded: &str, expected: &str, is_forwarded: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, forwarded.parse().unwrap());
        let network: ipnet::IpNet = "10.0.0.0/8".parse().unwrap();
        let peer = find_peer(Some(socket.parse().unwrap()), &headers, |address| network.contains(&address));
        assert_eq!(peer, Peer { address: Some(expected.parse().unwrap()), is_forwarded });
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        check(PROXY, "203.0.113.7", "203.0.113.7", true);
        check("198.51.100.9", "203.0.113.7", "198.51.100.9", false);
    }

    #[test]
    fn what_a_caller_puts_in_front_is_not_believed() {
        check(PROXY, "1.2.3.4, 203.0.113.7", "203.0.113.7", true);
        check(PROXY, "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7", true);
        check(PROXY, "not an address", PROXY, false);
    }
}
