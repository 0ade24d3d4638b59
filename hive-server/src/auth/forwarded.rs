//! Parses `X-Forwarded-For`, and warns about proxies that send an invalid one.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::sync::Mutex;

use axum::http::HeaderMap;
use tokio::time::Instant;

use crate::limits::{PacedCount, lock};

pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";

/// A trusted proxy sent something that is not an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidHop;

/// Returns the elements of all lines of the header in their order. Empty ones are skipped (RFC 9110, section 5.6.1).
pub(super) fn forwarded_hops(headers: &HeaderMap) -> Vec<&[u8]> {
    let lines = headers.get_all(FORWARDED_FOR).iter();
    let hops = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    hops.filter(|hop| !hop.is_empty()).collect()
}

/// Parses an address in the forms that proxies write: bare, in brackets, with a port, in quotes, or as IPv4 mapped into
/// IPv6.
pub(super) fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(hop).ok()?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    // Brackets are for IPv6 only (RFC 3986, section 3.2.2).
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6);
    let with_port = || SocketAddr::from_str(text).ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(in_brackets).or_else(with_port)?;
    // One address must not have two budgets, as IPv4 and as IPv4 mapped into IPv6.
    Some(address.to_canonical())
}

/// Warns that requests of a trusted proxy are refused: at most once a minute, with their number.
#[derive(Debug, Default)]
pub(super) struct InvalidHopWarnings(Mutex<PacedCount>);

impl InvalidHopWarnings {
    pub(super) fn warn(&self, proxy: Option<IpAddr>, now: Instant) {
        let due = lock(&self.0).record(now);
        if let (Some(count), Some(proxy)) = (due, proxy) {
            tracing::warn!(
                proxy.address = %proxy,
                refused = count,
                "requests of a trusted proxy are refused, because its X-Forwarded-For holds something that is not an address"
            );
        }
    }
}
