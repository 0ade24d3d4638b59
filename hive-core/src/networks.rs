//! Networks in CIDR notation, to which credentials are limited.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{Error, Result};

/// The length of the prefix `::ffff:0:0/96` of IPv4 addresses that are mapped into IPv6 (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;
/// The most networks of a list.
pub(crate) const MAX_NETWORKS: usize = 32;

/// Whether a key with this list of networks may be used from an address. One without a list may be used from everywhere.
pub(crate) fn is_allowed_address(networks: Option<&[String]>, ip: Option<&str>) -> bool {
    networks.is_none_or(|networks| contain(&parsed(networks), ip))
}

/// Whether one of these networks has an address. A caller without a known address is in none.
pub(crate) fn contain(networks: &[IpNet], ip: Option<&str>) -> bool {
    let Some(address) = ip.and_then(|ip| ip.parse::<IpAddr>().ok()) else { return false };
    // A client of an IPv6 socket may come with an IPv4 address in IPv6 form.
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Reads the networks of a request, sorted by their text.
///
/// # Errors
/// `InvalidInput` of the field `addresses`.
pub(crate) fn checked(words: &[String]) -> Result<Vec<IpNet>> {
    if words.is_empty() || words.len() > MAX_NETWORKS {
        return Err(Error::invalid("addresses", format!("1 to {MAX_NETWORKS} networks such as 192.0.2.0/24")));
    }
    let mut networks = BTreeMap::new();
    for word in words {
        let network = network(word).ok_or_else(|| {
            Error::invalid("addresses", format!("{word:?} is no network such as 192.0.2.0/24 or 2001:db8::/32"))
        })?;
        // As the network is written in full, so that two spellings of one are one entry.
        networks.insert(network.to_string(), network);
    }
    Ok(networks.into_values().collect())
}

/// Reads a network, or a single address. IPv4 mapped into IPv6 is IPv4: addresses are compared in that form.
pub(crate) fn network(word: &str) -> Option<IpNet> {
    let single = |word: &str| word.parse::<IpAddr>().ok().map(IpNet::from);
    let network = word.parse::<IpNet>().ok().map(|network| network.trunc()).or_else(|| single(word))?;
    Some(match network {
        IpNet::V6(v6) if v6.prefix_len() >= MAPPED_BITS => {
            let mapped = v6.network().to_ipv4_mapped();
            // The length is at most 128, so that the rest of it is one of IPv4.
            let unmapped = mapped.and_then(|v4| IpNet::new(v4.into(), v6.prefix_len() - MAPPED_BITS).ok());
            unmapped.unwrap_or(network)
        }
        _ => network,
    })
}

/// Reads stored networks. One that cannot be read allows nothing.
pub(crate) fn parsed(words: &[String]) -> Vec<IpNet> {
    words.iter().filter_map(|word| network(word)).collect()
}

/// Whether one of these networks has all addresses of another.
pub(crate) fn is_covered(network: &IpNet, wide: &[IpNet]) -> bool {
    wide.iter().any(|wide| wide.contains(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_or_a_range() {
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(network(word).map(|network| network.to_string()).as_deref(), expected, "{word}");
        };
        check("192.0.2.7/24", Some("192.0.2.0/24"));
        check("192.0.2.7", Some("192.0.2.7/32"));
        check("2001:db8::1", Some("2001:db8::1/128"));
        check("::ffff:192.0.2.7", Some("192.0.2.7/32"));
        check("::ffff:192.0.2.7/120", Some("192.0.2.0/24"));
        check("::ffff:0:0/96", Some("0.0.0.0/0"));
        check("::/0", Some("::/0"));
        check("192.0.2.0/33", None);
        check("example.org", None);
    }

    #[test]
    fn an_address_is_in_one_of_the_networks() {
        let networks = ["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()];
        let check =
            |ip: Option<&str>, expected| assert_eq!(is_allowed_address(Some(&networks), ip), expected, "{ip:?}");
        check(Some("192.0.2.200"), true);
        check(Some("::ffff:192.0.2.200"), true);
        check(Some("2001:db8::7"), true);
        check(Some("192.0.3.1"), false);
        check(Some("localhost"), false);
        check(None, false);
        assert!(is_allowed_address(None, None), "without a list there is no limit");
    }
}
