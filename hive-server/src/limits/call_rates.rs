//! Decides which rate a call is under: by the kind of the caller, and by the class of the operation. It has no I/O.

use hive_core::access::{Credential, Principal};

use super::rate_class::RateClass;
use super::rate_limiter::Rate;
use super::refusals::RefusalReason;
use crate::config::RequestRates;

/// The kind of a caller, as far as rates differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallerKind {
    /// The login of a person, by a token.
    Login,
    /// The login of a person, by the cookie of a browser.
    #[cfg_attr(not(test), expect(dead_code, reason = "no credential is a cookie yet"))]
    Browser,
    /// An API key, with the rate that is set on it.
    Key { per_minute: Option<u32> },
    /// The key of the configuration, or this process.
    Trusted,
}

impl CallerKind {
    pub(super) fn of(principal: &Principal) -> Self {
        match principal.credential {
            Credential::Login(_) => Self::Login,
            Credential::ApiKey(..) => Self::Key { per_minute: principal.rate_per_minute },
            _ => Self::Trusted,
        }
    }
}

/// Returns the rate of all calls that a caller's call counts against; `None` if it is under none.
pub(super) fn call_rate(rates: &RequestRates, caller: CallerKind, class: RateClass) -> Option<(Rate, RefusalReason)> {
    match class {
        RateClass::Read | RateClass::Act | RateClass::Exec => {}
        // A login has a limit by its address, and what has no rate is not counted.
        RateClass::Login | RateClass::Unlimited => return None,
    }
    Some(match caller {
        CallerKind::Login => {
            (Rate::per_minute(rates.login_calls_per_minute, rates.login_calls_burst), RefusalReason::LoginCalls)
        }
        CallerKind::Browser => {
            let per_minute = rates.browser_calls_per_minute;
            (Rate::per_minute(per_minute, per_minute), RefusalReason::LoginCalls)
        }
        CallerKind::Key { per_minute: Some(per_minute) } => {
            (Rate::per_minute(per_minute, per_minute), RefusalReason::KeyCalls)
        }
        CallerKind::Key { per_minute: None } | CallerKind::Trusted => return None,
    })
}

/// Returns the rate of commands on one satellite; `None` if the caller is under none.
pub(super) fn command_rate(rates: &RequestRates, caller: CallerKind) -> Option<Rate> {
    match caller {
        CallerKind::Login | CallerKind::Browser => {
            let per_minute = rates.login_commands_per_minute;
            Some(Rate::per_minute(per_minute, per_minute))
        }
        CallerKind::Key { .. } | CallerKind::Trusted => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_from_the_caller_and_the_class() {
        let rates = RequestRates::default();
        let check = |caller, class, expected: Option<(u32, u32)>| {
            let rate = call_rate(&rates, caller, class).map(|(rate, _)| rate);
            let expected = expected.map(|(per_minute, burst)| Rate::per_minute(per_minute, burst));
            assert_eq!(rate, expected, "{caller:?}, {class:?}");
        };
        let key = |per_minute| CallerKind::Key { per_minute };
        for class in [RateClass::Read, RateClass::Act, RateClass::Exec] {
            check(CallerKind::Login, class, Some((100, 200)));
            check(CallerKind::Browser, class, Some((600, 600)));
            check(key(Some(60)), class, Some((60, 60)));
            check(key(None), class, None);
            check(CallerKind::Trusted, class, None);
        }
        for class in [RateClass::Login, RateClass::Unlimited] {
            check(CallerKind::Login, class, None);
            check(key(Some(60)), class, None);
        }
    }

    #[test]
    fn commands_have_a_rate_for_people_alone() {
        let rates = RequestRates::default();
        let thirty = Some(Rate::per_minute(30, 30));
        assert_eq!(command_rate(&rates, CallerKind::Login), thirty);
        assert_eq!(command_rate(&rates, CallerKind::Browser), thirty);
        assert_eq!(command_rate(&rates, CallerKind::Key { per_minute: Some(1) }), None);
    }
}
