//! Parsers for the values of flags.

use std::net::IpAddr;
use std::time::Duration;

use hive_core::hive::{Activation, ClaimedTags, MAX_LOST_GRACE};
use ipnet::IpNet;

/// After how much idle time a session is ended; `None` for never.
#[derive(Clone, Copy)]
pub(super) struct IdleTimeout(pub(super) Option<Duration>);

/// How long something is kept; `None` for ever.
#[derive(Clone, Copy)]
pub(super) struct RetentionAge(pub(super) Option<Duration>);

/// The most days: a hundred years.
const MAX_DAYS: u64 = 36_500;

pub(super) fn parse_days(text: &str) -> Result<RetentionAge, &'static str> {
    let days: u64 = text.parse().map_err(|_| "must be a number of days, or 0 for ever")?;
    match days {
        0 => Ok(RetentionAge(None)),
        1..=MAX_DAYS => Ok(RetentionAge(Some(Duration::from_hours(24 * days)))),
        _ => Err("must be at most 36500 days, or 0 for ever"),
    }
}

pub(super) fn parse_network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| "must be an address or a network such as 10.0.0.0/8")
}

pub(super) fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    // Fractions are allowed: tests set timeouts below a second.
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or("must be a number of seconds above 0")
}

pub(super) fn parse_lost_grace(text: &str) -> Result<Duration, &'static str> {
    let grace = parse_seconds(text).ok().filter(|grace| *grace <= MAX_LOST_GRACE);
    grace.ok_or("must be a number of seconds above 0, and at most 600")
}

pub(super) fn parse_idle_timeout(text: &str) -> Result<IdleTimeout, &'static str> {
    match text {
        "never" => Ok(IdleTimeout(None)),
        _ => parse_seconds(text).map(|seconds| IdleTimeout(Some(seconds))).map_err(|_| "must be seconds, or never"),
    }
}

pub(super) fn parse_claimed_tags(text: &str) -> Result<ClaimedTags, &'static str> {
    match text {
        "facts" => Ok(ClaimedTags::Facts),
        "accept" => Ok(ClaimedTags::Accept),
        _ => Err("must be facts or accept"),
    }
}

pub(super) fn parse_activation(text: &str) -> Result<Activation, &'static str> {
    match text {
        "heartbeat" => Ok(Activation::Heartbeat),
        "manual" => Ok(Activation::Manual),
        _ => Err("must be heartbeat or manual"),
    }
}
