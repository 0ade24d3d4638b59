//! What can be set about the server. What can be set about the hive is in `hive_core::hive::Settings`.

pub mod args;

mod limits;
mod values;

use std::net::{Ipv4Addr, SocketAddr};

use ipnet::IpNet;

pub use self::limits::Limits;

/// Where to listen, whom to trust, and how much of everything is too much.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How much is too much.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 3000).into(), trusted_proxies: Vec::new(), limits: Limits::default() }
    }
}
