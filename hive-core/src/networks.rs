//! Networks in CIDR notation, to which credentials are limited.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whether a key with this list of networks may be used from an address. One without a list may be used from everywhere.
pub(crate) fn is_allowed_address(networks: Option<&[String]>, ip: Option<&str>) -> bool {
    let Some(networks) = networks else { return true };
    let Some(address) = ip.and_then(|ip| ip.parse::<IpAddr>().ok()) else { return false };
    // A client of an IPv6 socket may come with an IPv4 address in IPv6 form.
    let address = address.to_canonical();
    parsed(networks).iter().any(|network| network.contains(&address))
}

/// Reads a network, or a single address.
pub(crate) fn network(word: &str) -> Option<IpNet> {
    let single = |word: &str| word.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    word.parse::<IpNet>().ok().map(|network| network.trunc()).or_else(|| single(word))
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
