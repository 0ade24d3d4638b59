//! The name of a satellite, made from the name of its host.

use hive_core::wire::SatelliteName;
use hive_core::wire::name::{MAX_LEN, MIN_LEN};

/// Added to a host name that is too short for a satellite name.
const SUFFIX: &str = "-satellite";

/// Returns the host name without its domain, in the characters and the length that satellite names may have.
pub(super) fn of_host(host: &str) -> SatelliteName {
    let host = host.split('.').next().unwrap_or_default().to_lowercase();
    let allowed = |c: char| {
        if matches!(c, 'a'..='z' | '0'..='9' | '_' | '-') { c } else { '-' }
    };
    let host: String = host.chars().map(allowed).take(MAX_LEN).collect();
    // After the cut, which may leave a dash at the end.
    let host = host.trim_matches('-');
    let name = match host.len() {
        0 => format!("local{SUFFIX}"),
        1..MIN_LEN => format!("{host}{SUFFIX}"),
        _ => host.to_owned(),
    };
    name.try_into().expect("it has only allowed characters, and as many as it must have")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: &str) {
        assert_eq!(of_host(host).as_str(), expected, "{host:?}");
    }

    #[test]
    fn every_host_gets_a_valid_name() {
        check("build-server-7", "build-server-7");
        check("vm", "vm-satellite");
        check("web.example.com", "web-satellite");
        check("Annas-MacBook-Pro.local", "annas-macbook-pro");
        check("localhost", "localhost-satellite");
        check("", "local-satellite");
        check("---", "local-satellite");
        check("Büro Rechner 1", "b-ro-rechner-1");
        check(&"x".repeat(64), &"x".repeat(32));
        check("日本", "local-satellite");
        check("\u{1b}[2J", "2j-satellite");
    }
}
