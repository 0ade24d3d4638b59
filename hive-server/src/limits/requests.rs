//! How often an authenticated caller may call, and an address try passwords.
//!
//! A person's login has a rate for all its calls, and one for commands on each satellite. An API key has no rate unless one is
//! set on it, because programs use it. Of passwords only the wrong ones count.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use hive_core::access::{Credential, Principal};
use hive_core::hive::network_of;
use hive_core::wire::{SatelliteId, UserId};
use hive_core::{Error, Result};
use tokio::time::Instant;

use super::lock;
use super::rate_limiter::{Rate, RateLimiter};
use crate::config::RequestRates;

/// Callers with a bucket, of each kind.
const MAX_CALLERS: usize = 16 * 1024;

/// The rates of authenticated callers, and of wrong passwords.
pub(crate) struct RequestLimiter {
    /// `None` where the rates are turned off.
    rates: Option<RequestRates>,
    calls: Mutex<RateLimiter<Credential>>,
    commands: Mutex<RateLimiter<(UserId, SatelliteId)>>,
    wrong_passwords: Mutex<RateLimiter<IpAddr>>,
}

impl RequestLimiter {
    pub(super) fn new(rates: Option<RequestRates>) -> Self {
        Self {
            rates,
            calls: Mutex::new(RateLimiter::new(MAX_CALLERS)),
            commands: Mutex::new(RateLimiter::new(MAX_CALLERS)),
            wrong_passwords: Mutex::new(RateLimiter::new(MAX_CALLERS)),
        }
    }

    /// Counts a call of this caller, or refuses it.
    ///
    /// # Errors
    /// `RateLimited` with the time until the next call is admitted.
    pub(crate) fn count_call(&self, principal: &Principal) -> Result<()> {
        // Turned off: nothing is counted either, so that the maps stay empty.
        let Some(rates) = &self.rates else { return Ok(()) };
        match principal.credential {
            Credential::Login(_) => {
                let rate = Rate::per_minute(rates.login_calls_per_minute, rates.login_calls_burst);
                admitted(lock(&self.calls).admit(principal.credential, rate, Instant::now()))
            }
            _ => Ok(()),
        }
    }

    /// Counts a command of this caller on one satellite, or refuses it.
    ///
    /// # Errors
    /// `RateLimited` with the time until the next command is admitted.
    pub(crate) fn count_command(&self, principal: &Principal, satellite: SatelliteId) -> Result<()> {
        match (&self.rates, principal.credential) {
            (Some(rates), Credential::Login(user)) => {
                let per_minute = rates.login_commands_per_minute;
                let rate = Rate::per_minute(per_minute, per_minute);
                admitted(lock(&self.commands).admit((user, satellite), rate, Instant::now()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses an address that has sent too many wrong passwords. Callers without a known address are not limited.
    ///
    /// # Errors
    /// `RateLimited` with the time until the next password is checked.
    pub(crate) fn check_passwords(&self, address: Option<IpAddr>) -> Result<()> {
        let (Some(_), Some(address)) = (&self.rates, address) else { return Ok(()) };
        // A look only: whether it counts is known when the password is checked.
        let wait = lock(&self.wrong_passwords).retry_after(&network_of(address), 1.0, Instant::now());
        admitted(wait.map_or(Ok(()), Err))
    }

    /// Counts a wrong password of an address.
    pub(crate) fn count_wrong_password(&self, address: Option<IpAddr>) {
        if let (Some(rates), Some(address)) = (&self.rates, address) {
            let rate = Rate::per_minute(rates.wrong_passwords_per_minute, rates.wrong_passwords_per_minute);
            lock(&self.wrong_passwords).charge(network_of(address), rate, 1.0, Instant::now());
        }
    }
}

fn admitted(admission: Result<(), Duration>) -> Result<()> {
    // Rounded up: a caller that comes back on time must not be refused again.
    admission.map_err(|wait| Error::RateLimited { retry_after_seconds: wait.as_secs() + 1 })
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

    fn login() -> Principal {
        Principal::new(Credential::Login(UserId::new(SEED)), "anna", PlatformRole::GlobalAdmin)
    }

    fn admitted(count: impl Fn() -> Result<()>) -> usize {
        (0..100).filter(|_| count().is_ok()).count()
    }

    #[test]
    fn a_login_has_a_rate_and_a_key_has_none() {
        let limiter = limiter();
        assert_eq!(admitted(|| limiter.count_call(&login())), 3);
        assert!(matches!(limiter.count_call(&login()), Err(Error::RateLimited { retry_after_seconds: 1 })));
        let key = Credential::ApiKey(ApiKeyId::new(SEED), UserId::new(SEED));
        let key = Principal::new(key, "anna", PlatformRole::GlobalAdmin);
        assert_eq!(admitted(|| limiter.count_call(&key)), 100);
        assert_eq!(admitted(|| limiter.count_command(&key, SatelliteId::new(SEED))), 100);
    }

    #[test]
    fn commands_count_for_their_satellite() {
        let (limiter, one) = (limiter(), SatelliteId::new(SEED));
        let other = SatelliteId::new(Seed { unix_millis: 2, random: [0; 10] });
        assert_eq!(admitted(|| limiter.count_command(&login(), one)), 2);
        assert_eq!(admitted(|| limiter.count_command(&login(), other)), 2);
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
    fn all_rates_can_be_turned_off() {
        let (limiter, address) = (RequestLimiter::new(None), "192.0.2.1".parse().ok());
        (0..100).for_each(|_| limiter.count_wrong_password(address));
        assert!(limiter.check_passwords(address).is_ok());
        assert_eq!(admitted(|| limiter.count_call(&login())), 100);
    }
}
