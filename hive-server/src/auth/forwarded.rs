//! What proxies write into `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;

pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";

/// How often the log says that a proxy sends a header that cannot be read.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// A trusted proxy names an address that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnreadableHop;

/// The elements of all lines of the header, in their order; empty ones are left out (RFC 9110, section 5.6.1).
pub(super) fn forwarded_hops(headers: &HeaderMap) -> Vec<&[u8]> {
    let lines = headers.get_all(FORWARDED_FOR).iter();
    let hops = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    hops.filter(|hop| !hop.is_empty()).collect()
}

/// Reads an address as proxies write it: bare, in brackets, with a port, in quotes, or as IPv4 mapped into IPv6.
pub(super) fn read_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(hop).ok()?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6);
    let with_port = || SocketAddr::from_str(text).ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(in_brackets).or_else(with_port)?;
    Some(address.to_canonical())
}

/// Says that requests of a trusted proxy are refused: once a minute, with how many there were.
#[derive(Debug, Default)]
pub(super) struct UnreadableHops(Mutex<Refused>);

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
    pub(super) fn warn(&self, proxy: Option<IpAddr>, now: Instant) {
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
