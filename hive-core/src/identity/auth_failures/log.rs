//! Decides which failed authentications get an audit record of their own, and counts the others.
//!
//! In each minute, the first failures of a kind and a source are recorded one by one. The rest of the minute is one
//! summary for each kind. After the summaries of an hour are used up, only the totals count. So guessing cannot fill
//! the audit log.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use hive_wire::{SatelliteId, Timestamp};
use serde::Serialize;

/// The failures of one kind and source in a minute that are recorded one by one.
const RECORDS_PER_MINUTE: u64 = 5;
/// The most summaries in an hour. Further failures are only counted in the totals.
const SUMMARIES_PER_HOUR: u32 = 60;
/// The sources of one kind that are counted separately in a minute. Failures of further sources are counted without
/// their source.
const MAX_SOURCES: usize = 200;
/// The most sources that a summary lists.
const MAX_NAMED: usize = 10;

/// The kind of credential or message that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthFailureKind {
    /// The password of a login or of a change of the password.
    Password,
    /// The API key of a user.
    ApiKey,
    /// The token that a login returned.
    LoginToken,
    /// The key of a satellite.
    SatelliteKey,
    /// A registration token.
    RegistrationToken,
    /// A message of a satellite about a command or a session of another satellite.
    ForeignMessage,
}

impl AuthFailureKind {
    /// Returns the stable name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::ApiKey => "api_key",
            Self::LoginToken => "login_token",
            Self::SatelliteKey => "satellite_key",
            Self::RegistrationToken => "registration_token",
            Self::ForeignMessage => "foreign_message",
        }
    }
}

/// The number of failed authentications of one kind since the start of the hive, by what the audit log has of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AuthFailureTotals {
    /// All failures.
    pub failures: u64,
    /// Failures with an audit record of their own.
    pub recorded: u64,
    /// Failures that a summary counts.
    pub summarised: u64,
    /// Failures that the audit log does not have: the summaries of the hour were used up, or the log could not be
    /// written.
    pub left_out: u64,
}

/// The origin of a failure, as the limits distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FailureSource {
    /// An IPv4 address, or an IPv6 network of 64 bits.
    Network(IpAddr),
    /// A satellite.
    Satellite(SatelliteId),
    /// The address is not known.
    Unknown,
}

impl FailureSource {
    /// Returns the source of an address.
    pub(crate) fn of_address(address: Option<&str>) -> Self {
        let address = address.and_then(|address| address.parse().ok());
        address.map_or(Self::Unknown, |address| Self::Network(network_of(address)))
    }
}

impl std::fmt::Display for FailureSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Network(IpAddr::V6(network)) => write!(f, "{network}/64"),
            Self::Satellite(id) => write!(f, "{id}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Returns what the limits count as one address: an IPv4 address, or the /64 network of an IPv6 address.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        IpAddr::V4(address) => address.into(),
    }
}

/// How one failure is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureDecision {
    /// It gets a record of its own.
    Record,
    /// The summary of the minute counts it.
    Count,
    /// Only the totals count it.
    Drop,
}

/// The failures of one kind in one minute that have no record of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) kind: AuthFailureKind,
    /// The beginning of the minute.
    pub(super) minute: Timestamp,
    /// All failures of the minute.
    pub(super) failures: u64,
    /// Those of them with a record.
    pub(super) recorded: u64,
    /// The number of sources; at most as many as are counted separately.
    pub(super) sources: usize,
    /// The sources with the most failures, and how many.
    pub(super) most: Vec<(FailureSource, u64)>,
}

impl Summary {
    /// Returns the number of failures without a record.
    pub(super) fn left(&self) -> u64 {
        self.failures - self.recorded
    }
}

/// The failures of the current minute, and the totals.
#[derive(Debug, Default)]
pub(super) struct AuthFailureLog {
    minute: i64,
    kinds: BTreeMap<AuthFailureKind, FailureMinute>,
    hour: i64,
    summaries: u32,
    due: Vec<Summary>,
    totals: BTreeMap<AuthFailureKind, AuthFailureTotals>,
}

#[derive(Debug, Default)]
struct FailureMinute {
    failures: u64,
    recorded: u64,
    sources: HashMap<FailureSource, u64>,
}

impl AuthFailureLog {
    /// Counts a failure and decides how it is recorded. `is_behind`: the audit log accepts no record now.
    pub(super) fn note(
        &mut self,
        kind: AuthFailureKind,
        source: FailureSource,
        is_behind: bool,
        now: Timestamp,
    ) -> FailureDecision {
        self.pass_time(now);
        let has_summary = self.summaries < SUMMARIES_PER_HOUR;
        let minute = self.kinds.entry(kind).or_default();
        let totals = self.totals.entry(kind).or_default();
        minute.failures += 1;
        totals.failures += 1;
        let is_told_apart = minute.sources.len() < MAX_SOURCES || minute.sources.contains_key(&source);
        let before = match is_told_apart.then(|| minute.sources.entry(source).or_default()) {
            Some(count) => {
                *count += 1;
                *count - 1
            }
            // A source that is not told apart has no count of its own. It gets no record, so that many sources cannot
            // fill the audit log.
            None => RECORDS_PER_MINUTE,
        };
        if before < RECORDS_PER_MINUTE && !is_behind {
            minute.recorded += 1;
            totals.recorded += 1;
            return FailureDecision::Record;
        }
        if has_summary { FailureDecision::Count } else { FailureDecision::Drop }
    }

    /// Returns the summaries of the minutes that are over.
    pub(super) fn take_summaries(&mut self, now: Timestamp) -> Vec<Summary> {
        self.pass_time(now);
        std::mem::take(&mut self.due)
    }

    /// Returns the summaries of all minutes, the current one included. Called when the hive stops.
    pub(super) fn take_last_summaries(&mut self) -> Vec<Summary> {
        self.close_minute();
        std::mem::take(&mut self.due)
    }

    /// Counts as left out what could not be written: a record, or the summary of `summarised` failures.
    pub(super) fn lose(&mut self, kind: AuthFailureKind, summarised: Option<u64>) {
        let totals = self.totals.entry(kind).or_default();
        match summarised {
            Some(count) => totals.summarised = totals.summarised.saturating_sub(count),
            None => totals.recorded = totals.recorded.saturating_sub(1),
        }
        totals.left_out += summarised.unwrap_or(1);
    }

    /// Returns the totals, by kind.
    pub(super) fn totals(&self) -> BTreeMap<&'static str, AuthFailureTotals> {
        self.totals.iter().map(|(kind, totals)| (kind.as_str(), *totals)).collect()
    }

    fn pass_time(&mut self, now: Timestamp) {
        let minute = now.as_seconds().div_euclid(60);
        if minute != self.minute {
            // Before the hour changes: the summaries of a minute count in its own hour.
            self.close_minute();
            self.minute = minute;
        }
        let hour = minute.div_euclid(60);
        if hour != self.hour {
            (self.hour, self.summaries) = (hour, 0);
        }
    }

    /// Makes summaries of the minute, as many as the hour allows.
    fn close_minute(&mut self) {
        let begin = Timestamp::from_micros(0).plus(Duration::from_secs(self.minute.unsigned_abs() * 60));
        for (kind, minute) in std::mem::take(&mut self.kinds) {
            let summary = minute.summary(kind, begin);
            if summary.left() == 0 {
                continue;
            }
            let totals = self.totals.entry(kind).or_default();
            if self.summaries < SUMMARIES_PER_HOUR {
                self.summaries += 1;
                totals.summarised += summary.left();
                self.due.push(summary);
            } else {
                totals.left_out += summary.left();
            }
        }
    }
}

impl FailureMinute {
    fn summary(self, kind: AuthFailureKind, minute: Timestamp) -> Summary {
        let Self { failures, recorded, sources } = self;
        let count = sources.len();
        let mut most: Vec<_> = sources.into_iter().collect();
        // The source decides between equal counts, so that the summary does not depend on the order of the map.
        most.sort_by_key(|(source, count)| (std::cmp::Reverse(*count), *source));
        most.truncate(MAX_NAMED);
        Summary { kind, minute, failures, recorded, sources: count, most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    const KEY: AuthFailureKind = AuthFailureKind::ApiKey;

    fn at(seconds: u64) -> Timestamp {
        // The beginning of an hour.
        Timestamp::from_micros(0).plus(Duration::from_secs(1_000_000 * 3600 + seconds))
    }

    fn network(number: u32) -> FailureSource {
        FailureSource::Network(std::net::Ipv4Addr::from_bits(number).into())
    }

    /// Notes failures of one source; how many of them are to be recorded.
    fn note(
        log: &mut AuthFailureLog,
        kind: AuthFailureKind,
        source: FailureSource,
        count: usize,
        now: Timestamp,
    ) -> usize {
        (0..count).filter(|_| log.note(kind, source, false, now) == FailureDecision::Record).count()
    }

    #[test]
    fn the_first_five_of_a_kind_and_source_are_recorded_and_the_rest_is_one_summary() {
        let mut log = AuthFailureLog::default();
        assert_eq!(note(&mut log, KEY, network(1), 100, at(0)), 5);
        assert_eq!(note(&mut log, KEY, network(2), 3, at(10)), 3);
        assert_eq!(note(&mut log, AuthFailureKind::Password, network(1), 5, at(20)), 5);
        assert_eq!(log.take_summaries(at(59)), []);
        let summary = Summary {
            kind: KEY,
            minute: at(0),
            failures: 103,
            recorded: 8,
            sources: 2,
            most: vec![(network(1), 100), (network(2), 3)],
        };
        assert_eq!(log.take_summaries(at(60)), [summary]);
        assert_eq!(log.take_summaries(at(60)), [], "once");
        assert_eq!(note(&mut log, KEY, network(1), 100, at(61)), 5, "a new minute");
        let totals = log.totals()["api_key"];
        assert_eq!(totals, AuthFailureTotals { failures: 203, recorded: 13, summarised: 95, left_out: 0 });
    }

    #[test]
    fn above_sixty_summaries_an_hour_only_the_totals_count() {
        let mut log = AuthFailureLog::default();
        let kinds = [KEY, AuthFailureKind::Password];
        let mut summaries = 0;
        for minute in 0..60 {
            for kind in kinds {
                note(&mut log, kind, network(1), 10, at(minute * 60));
            }
            summaries += log.take_summaries(at(minute * 60 + 60 - 1)).len();
        }
        assert_eq!(summaries, 60);
        assert_eq!(log.note(KEY, network(1), false, at(59 * 60)), FailureDecision::Drop);
        let [key, password] = ["api_key", "password"].map(|kind| log.totals()[kind]);
        assert_eq!(key.recorded + password.recorded, 2 * 60 * 5);
        assert_eq!(key.summarised + password.summarised, 60 * 5);
        log.take_summaries(at(3600));
        note(&mut log, KEY, network(1), 10, at(3601));
        assert_eq!(log.take_summaries(at(3660)).len(), 1, "a new hour");
        let totals = log.totals()["api_key"];
        assert_eq!(totals.failures, totals.recorded + totals.summarised + totals.left_out);
    }

    #[test]
    fn nothing_is_recorded_while_the_audit_log_is_behind_and_all_is_counted() {
        let mut log = AuthFailureLog::default();
        for _ in 0..10 {
            assert_eq!(log.note(KEY, network(1), true, at(0)), FailureDecision::Count);
        }
        let [summary] = &log.take_summaries(at(60))[..] else { panic!("one summary") };
        assert_eq!((summary.failures, summary.recorded), (10, 0));
    }

    #[test]
    fn what_could_not_be_written_is_counted_as_left_out() {
        let mut log = AuthFailureLog::default();
        note(&mut log, KEY, network(1), 10, at(0));
        log.lose(KEY, None);
        let [summary] = &log.take_last_summaries()[..] else { panic!("one summary") };
        log.lose(KEY, Some(summary.left()));
        let totals = log.totals()["api_key"];
        assert_eq!(totals, AuthFailureTotals { failures: 10, recorded: 4, summarised: 0, left_out: 6 });
    }

    #[test]
    fn many_sources_take_no_more_room_than_there_is() {
        let mut log = AuthFailureLog::default();
        let recorded: usize = (0..10_000).map(|number| note(&mut log, KEY, network(number), 2, at(0))).sum();
        assert_eq!(recorded, 2 * MAX_SOURCES);
        let [summary] = &log.take_summaries(at(60))[..] else { panic!("one summary") };
        assert_eq!((summary.failures, summary.sources, summary.most.len()), (20_000, MAX_SOURCES, MAX_NAMED));
    }

    #[test]
    fn a_source_is_an_address_or_a_network_of_ipv6() {
        let check = |address: Option<&str>, expected: &str| {
            assert_eq!(FailureSource::of_address(address).to_string(), expected);
        };
        check(Some("203.0.113.7"), "203.0.113.7");
        check(Some("::ffff:203.0.113.7"), "203.0.113.7");
        check(Some("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        check(Some("nonsense"), "unknown");
        check(None, "unknown");
        let id = SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] });
        assert_eq!(FailureSource::Satellite(id).to_string(), id.to_string());
    }
}
