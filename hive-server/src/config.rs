//! Configuration of a server. The settings of its hive are `hive_core::hive::Settings`.

pub mod args;

mod limits;
mod values;

use std::net::{Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::origins::Origin;

pub use self::limits::{Limits, RequestRates};

/// Where a server listens, which proxies it trusts, and its limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may open WebSockets, beside the external URL of the hive and a loopback listener's own addresses.
    pub origins: Vec<Origin>,
    /// Limits and timeouts.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 3000).into(),
            trusted_proxies: Vec::new(),
            origins: Vec::new(),
            limits: Limits::default(),
        }
    }
}
