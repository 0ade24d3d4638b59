//! How often an authenticated caller may call, and an address try passwords.
//!
//! A person's login has a rate for all its calls, and one for commands on each satellite. An API key has the rate that is set on it, and
//! none otherwise, because programs use it. Of passwords only the wrong ones count.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use hive_core::access::{Credential, Principal};
use hive_core::hive::network_of;
use hive_core::wire::{SatelliteId, UserId};
use hive_core::{Error, Result};
use tokio::time::Instant;

use super::call_rates::{CallerKind, call_rate, command_rate};
use super::lock;
use super::rate_class::RateClass;
use super::rate_limiter::{Rate, RateLimiter};
use super::refusals::{RefusalReason, Refusals, RefusedCalls};
use crate::config::RequestRates;

/// Callers with a bucket, of each kind.
const MAX_CALLERS: usize = 16 * 1024;

/// What a command runs on, as far as its rate depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CommandTarget {
    /// One satellite.
    Satellite(SatelliteId),
    /// Those that a request selects. Each gets one command of it at most, so that counting the requests bounds the commands of each.
    Selected,
}

/// Who tries a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NameCaller {
    /// An authenticated caller.
    Caller(Credential),
    /// The address of a satellite that registers; all that are not known are one.
    Address(Option<IpAddr>),
}

/// The rates of authenticated callers, and of wrong passwords.
pub(crate) struct RequestLimiter {
    /// `None` where the rates are turned off.
    rates: Option<RequestRates>,
    calls: Mutex<RateLimiter<Credential>>,
    commands: Mutex<RateLimiter<(UserId, CommandTarget)>>,
    wrong_passwords: Mutex<RateLimiter<IpAddr>>,
    taken_names: Mutex<RateLimiter<NameCaller>>,
    refusals: Refusals,
}

impl RequestLimiter {
    pub(super) fn new(rates: Option<RequestRates>) -> Self {
        Self {
            rates,
            calls: Mutex::new(RateLimiter::new(MAX_CALLERS)),
            commands: Mutex::new(RateLimiter::new(MAX_CALLERS)),
            wrong_passwords: Mutex::new(RateLimiter::new(MAX_CALLERS)),
            taken_names: Mutex::new(RateLimiter::new(MAX_CALLERS)),
            refusals: Refusals::default(),
        }
    }

    /// Counts a call of this caller, or refuses it.
    ///
    /// # Errors
    /// `RateLimited` with the time until the next call is admitted.
    pub(crate) fn count_call(&self, principal: &Principal, class: RateClass) -> Result<()> {
        // Turned off: nothing is counted either, so that the maps stay empty.
        let rate = self.rates.as_ref().and_then(|rates| call_rate(rates, CallerKind::of(principal), class));
        let Some((rate, reason)) = rate else { return Ok(()) };
        let now = Instant::now();
        // The keys with which a key was made: however many are made, they call no more often together.
        let ancestors = principal.ancestor_rates.iter().filter_map(|(key, per_minute)| {
            Some((Credential::ApiKey(*key, principal.user()?), Rate::per_minute(*per_minute, *per_minute)))
        });
        let buckets: Vec<_> = std::iter::once((principal.credential, rate)).chain(ancestors).collect();
        let admission = lock(&self.calls).admit_all(&buckets, now);
        self.admitted(admission, class, reason, now)
    }

    /// Counts a command of this caller, or refuses it.
    ///
    /// # Errors
    /// `RateLimited` with the time until the next command is admitted.
    pub(crate) fn count_command(&self, principal: &Principal, target: CommandTarget) -> Result<()> {
        let rate = self.rates.as_ref().and_then(|rates| command_rate(rates, CallerKind::of(principal)));
        let (Some(rate), Some(user)) = (rate, principal.user()) else { return Ok(()) };
        let now = Instant::now();
        let admission = lock(&self.commands).admit((user, target), rate, now);
        self.admitted(admission, RateClass::Exec, RefusalReason::LoginCommands, now)
    }

    /// Refuses an address that has sent too many wrong passwords. Callers without a known address are not limited.
    ///
    /// # Errors
    /// `RateLimited` with the time until the next password is checked.
    pub(crate) fn check_passwords(&self, address: Option<IpAddr>) -> Result<()> {
        let (Some(_), Some(address)) = (&self.rates, address) else { return Ok(()) };
        // A look only: whether it counts is known when the password is checked.
        let now = Instant::now();
        let wait = lock(&self.wrong_passwords).retry_after(&network_of(address), 1.0, now);
        self.admitted(wait.map_or(Ok(()), Err), RateClass::Login, RefusalReason::WrongPasswords, now)
    }

    /// Counts a wrong password of an address.
    pub(crate) fn count_wrong_password(&self, address: Option<IpAddr>) {
        if let (Some(rates), Some(address)) = (&self.rates, address) {
            let rate = Rate::per_minute(rates.wrong_passwords_per_minute, rates.wrong_passwords_per_minute);
            lock(&self.wrong_passwords).charge(network_of(address), rate, 1.0, Instant::now());
        }
    }

    /// Refuses a caller who has found too many names to be in use. That a name is taken is the one thing that tells of what belongs to
    /// other teams.
    ///
    /// # Errors
    /// `RateLimited` with the time until the next name may be tried.
    pub(crate) fn check_names(&self, caller: NameCaller) -> Result<()> {
        if self.rates.is_none() || caller.is_trusted() {
            return Ok(());
        }
        let now = Instant::now();
        let wait = lock(&self.taken_names).retry_after(&caller.by_network(), 1.0, now);
        self.admitted(wait.map_or(Ok(()), Err), RateClass::Act, RefusalReason::TakenNames, now)
    }

    /// Counts a name that a caller found to be in use.
    pub(crate) fn count_taken_name(&self, caller: NameCaller) {
        if let Some(rates) = &self.rates {
            let rate = Rate::per_minute(rates.taken_names_per_minute, rates.taken_names_per_minute);
            lock(&self.taken_names).charge(caller.by_network(), rate, 1.0, Instant::now());
        }
    }

    /// Returns how many calls were refused since the start.
    pub(crate) fn refused(&self) -> Vec<RefusedCalls> {
        self.refusals.counts()
    }

    fn admitted(
        &self,
        admission: Result<(), Duration>,
        class: RateClass,
        reason: RefusalReason,
        now: Instant,
    ) -> Result<()> {
        admission.map_err(|wait| {
            self.refusals.count(class, reason, now);
            // Rounded up: a caller that comes back on time must not be refused again.
            Error::RateLimited { retry_after_seconds: wait.as_secs() + 1 }
        })
    }
}

impl NameCaller {
    /// The key of the configuration and this process see everything.
    fn is_trusted(self) -> bool {
        matches!(self, Self::Caller(Credential::Configured | Credential::System))
    }

    fn by_network(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(address.map(network_of)),
            Self::Caller(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::api::PlatformRole;
    use hive_core::wire::id::Seed;
    use hive_core::wire::{ApiKeyId, UserId};

    const SEED: Seed = Seed { unix_millis: 1, random: [0; 10] };

    fn limiter() -> RequestLimiter {
        let rates = RequestRates { login_calls_burst: 3, login_commands_per_minute: 2, ..RequestRates::default() };
        RequestLimiter::new(Some(rates))
    }

    fn satellite(unix_millis: u64) -> CommandTarget {
        CommandTarget::Satellite(SatelliteId::new(Seed { unix_millis, random: [0; 10] }))
    }

    fn login() -> Principal {
        Principal::new(Credential::Login(UserId::new(SEED)), "anna", PlatformRole::GlobalAdmin)
    }

    fn admitted(count: impl Fn() -> Result<()>) -> usize {
        (0..100).filter(|_| count().is_ok()).count()
    }

    #[test]
    fn a_login_has_a_rate_and_a_key_has_none() {
        let limiter = limiter();
        assert_eq!(admitted(|| limiter.count_call(&login(), RateClass::Read)), 3);
        assert!(matches!(
            limiter.count_call(&login(), RateClass::Read),
            Err(Error::RateLimited { retry_after_seconds: 1 })
        ));
        let key = Credential::ApiKey(ApiKeyId::new(SEED), UserId::new(SEED));
        let key = Principal::new(key, "anna", PlatformRole::GlobalAdmin);
        assert_eq!(admitted(|| limiter.count_call(&key, RateClass::Read)), 100);
        assert_eq!(admitted(|| limiter.count_command(&key, satellite(1))), 100);
    }

    #[test]
    fn commands_count_for_their_satellite() {
        let limiter = limiter();
        for target in [satellite(1), satellite(2), CommandTarget::Selected] {
            assert_eq!(admitted(|| limiter.count_command(&login(), target)), 2, "{target:?}");
        }
    }

    #[test]
    fn a_key_has_the_rate_that_is_set_on_it() {
        let limiter = limiter();
        let key = Credential::ApiKey(ApiKeyId::new(SEED), UserId::new(SEED));
        let key = Principal::new(key, "anna", PlatformRole::GlobalAdmin).rate_per_minute(Some(5));
        assert_eq!(admitted(|| limiter.count_call(&key, RateClass::Act)), 5);
        assert!(matches!(
            limiter.count_call(&key, RateClass::Read),
            Err(Error::RateLimited { retry_after_seconds: 12..=13 })
        ));
        let made_with_it = Principal::new(
            Credential::ApiKey(ApiKeyId::new(Seed { unix_millis: 2, random: [0; 10] }), UserId::new(SEED)),
            "anna",
            PlatformRole::GlobalAdmin,
        );
        let made_with_it = made_with_it.rate_per_minute(Some(5)).ancestor_rates([(ApiKeyId::new(SEED), 5)].into());
        assert!(
            limiter.count_call(&made_with_it, RateClass::Exec).is_err(),
            "nothing is left of the rate that both have"
        );
        let counted = |class, reason, count| RefusedCalls { class, reason, count };
        assert_eq!(
            limiter.refused(),
            [counted("read", "key_calls", 1), counted("act", "key_calls", 95), counted("exec", "key_calls", 1)]
        );
    }

    #[test]
    fn wrong_passwords_lock_their_address_out_and_right_ones_do_not() {
        let (limiter, address) = (limiter(), "192.0.2.1".parse().ok());
        assert_eq!(admitted(|| limiter.check_passwords(address)), 100);
        (0..5).for_each(|_| limiter.count_wrong_password(address));
        let refused = limiter.check_passwords(address);
        assert!(matches!(refused, Err(Error::RateLimited { retry_after_seconds: 12..=13 })), "{refused:?}");
        assert!(limiter.check_passwords("192.0.2.2".parse().ok()).is_ok());
    }

    #[test]
    fn who_finds_many_names_in_use_may_try_no_more() {
        let limiter = limiter();
        let key = NameCaller::Caller(Credential::ApiKey(ApiKeyId::new(SEED), UserId::new(SEED)));
        let address = NameCaller::Address("192.0.2.1".parse().ok());
        for caller in [key, address] {
            assert_eq!(admitted(|| limiter.check_names(caller)), 100, "only taken ones count");
            (0..30).for_each(|_| limiter.count_taken_name(caller));
            assert!(limiter.check_names(caller).is_err());
        }
        assert!(limiter.check_names(NameCaller::Caller(Credential::Configured)).is_ok());
        assert!(limiter.check_names(NameCaller::Address("192.0.2.2".parse().ok())).is_ok());
    }

    #[test]
    fn all_rates_can_be_turned_off() {
        let (limiter, address) = (RequestLimiter::new(None), "192.0.2.1".parse().ok());
        (0..100).for_each(|_| limiter.count_wrong_password(address));
        assert!(limiter.check_passwords(address).is_ok());
        assert_eq!(admitted(|| limiter.count_call(&login(), RateClass::Read)), 100);
    }
}
