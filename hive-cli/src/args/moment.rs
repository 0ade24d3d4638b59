//! A point in time, given as date and time or as how long ago it was.

use std::str::FromStr;
use std::time::Duration;

use hive_core::wire::Timestamp;

/// A point in time, absolute or before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    /// Whether it counts from now.
    pub(crate) fn is_relative(&self) -> bool {
        matches!(self, Self::Ago(_))
    }

    /// Returns the time it stands for, given the current time.
    pub(crate) fn as_of(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(duration) => now.minus(duration),
        }
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = text.parse().ok().map(Self::At).or_else(|| duration(text).map(Self::Ago));
        moment.ok_or("must be a time such as 2026-02-05T05:42:00Z, or how long ago, such as 30m, 2h or 7d")
    }
}

/// Reads a duration such as `30m` or `7d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "must be a duration such as 30s, 5m, 2h or 7d".to_owned())
}

fn duration(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    // The unit is ASCII, so this cuts at the boundary of a character.
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    Some(Duration::from_secs(count.checked_mul(unit)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now: Timestamp = "2026-02-05T12:00:00Z".parse().unwrap();
        let check = |text: &str, expected: &str| {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.as_of(now), expected.parse().unwrap(), "{text}");
        };
        check("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z");
        check("90s", "2026-02-05T11:58:30Z");
        check("30m", "2026-02-05T11:30:00Z");
        check("2h", "2026-02-05T10:00:00Z");
        check("7d", "2026-01-29T12:00:00Z");
        for text in
            ["", "h", "2", "-2h", "2 h", "2w", "yesterday", "99999999999999999999d", "999999999999999999d", "5ü"]
        {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
