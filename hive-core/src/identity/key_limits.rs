//! The limits of API keys: how they are read from a request, and what a key may give to a key that is made with it.

use std::collections::BTreeSet;

use hive_wire::api::{ApiKeyCreate, Target};
use hive_wire::{ApiKeyId, Timestamp};

use crate::access::{AccessDecision, Permission, Principal, ResourceScope, may, visible_scope};
use crate::networks::{self, is_covered, parsed};
use crate::store::ApiKeyRow;
use crate::validate::check_hours;
use crate::{Error, Result};

/// The longest life of an API key that has an end: ten years, in hours.
const MAX_KEY_HOURS: u32 = 10 * 365 * 24;
/// The most tags of a key.
const MAX_ENTRIES: usize = 32;
/// The highest limit of calls in a minute.
const MAX_RATE: u32 = 1_000_000;

/// What an API key is limited to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyLimits {
    pub(super) parent: Option<ApiKeyId>,
    pub(super) scopes: Option<BTreeSet<Permission>>,
    pub(super) satellite_tags: Option<BTreeSet<String>>,
    pub(super) addresses: Option<Vec<String>>,
    pub(super) rate_per_minute: Option<u32>,
    pub(super) expires_at: Option<Timestamp>,
}

impl KeyLimits {
    /// Reads the limits of a key that `principal` makes. `maker` is the key with which it acts. What the request leaves out is that
    /// of the maker; what would be more than that is refused, and a later end is cut.
    pub(super) fn checked(
        request: &ApiKeyCreate,
        principal: &Principal,
        maker: Option<&ApiKeyRow>,
        now: Timestamp,
    ) -> Result<Self> {
        let life = request.expires_in_hours.map(|hours| check_hours(hours, MAX_KEY_HOURS)).transpose()?;
        let maker_end = maker.and_then(|maker| maker.expires_at);
        Ok(Self {
            // With its parent the key dies with the key that made it, also where nothing else limits it.
            parent: maker.map(|maker| maker.id),
            scopes: match &request.scopes {
                Some(words) => Some(checked_scopes(words, principal)?),
                // Not `None`: a key without scopes would have all rights of the user, thus more than its maker.
                None => principal.scopes.clone(),
            },
            satellite_tags: match &request.satellites {
                Some(words) => Some(checked_tags(words, principal.satellite_tags.as_ref())?),
                None => principal.satellite_tags.clone(),
            },
            addresses: match &request.addresses {
                Some(words) => Some(checked_networks(words, maker.and_then(|maker| maker.addresses.as_ref()))?),
                None => maker.and_then(|maker| maker.addresses.clone()),
            },
            rate_per_minute: checked_rate(request.rate_per_minute, maker.and_then(|maker| maker.rate_per_minute))?,
            expires_at: earlier(life.map(|life| now.plus(life)), maker_end),
        })
    }

    /// The limits of a caller. `own` is the key with which it acts.
    pub(super) fn of_caller(principal: &Principal, own: Option<&ApiKeyRow>) -> Self {
        Self {
            scopes: principal.scopes.clone(),
            satellite_tags: principal.satellite_tags.clone(),
            ..own.map(Self::from).unwrap_or_default()
        }
    }

    /// Returns whether a key with these limits has no more rights than another and ends no later.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let networks = |limits: &Self| limits.addresses.clone().map(|words| parsed(&words));
        is_subset(self.scopes.as_ref(), other.scopes.as_ref())
            && is_subset(self.satellite_tags.as_ref(), other.satellite_tags.as_ref())
            && match (networks(self), networks(other)) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(own), Some(wide)) => own.iter().all(|network| is_covered(network, &wide)),
            }
            // `None` is the latest end, which an order of options would put first.
            && self.expires_at == earlier(self.expires_at, other.expires_at)
    }
}

impl From<&ApiKeyRow> for KeyLimits {
    fn from(row: &ApiKeyRow) -> Self {
        Self {
            parent: row.parent,
            scopes: row.scopes.clone(),
            satellite_tags: row.satellite_tags.clone(),
            addresses: row.addresses.clone(),
            rate_per_minute: row.rate_per_minute,
            expires_at: row.expires_at,
        }
    }
}

/// Reads scopes. Each must be known, and one that the maker of the key has somewhere now.
fn checked_scopes(words: &[String], principal: &Principal) -> Result<BTreeSet<Permission>> {
    let mut scopes = BTreeSet::new();
    for word in words {
        let permission = Permission::from(word.as_str());
        if !Permission::KNOWN.contains(&permission) {
            let known: Vec<_> = Permission::KNOWN.iter().map(Permission::as_str).collect();
            return Err(Error::invalid("scopes", format!("{word:?} is no permission; there are {}", known.join(", "))));
        }
        // Checked somewhere, not for one object: the rights of the owner are looked at again with each use of the key.
        let is_own = may(principal, &permission, ResourceScope::Own) == AccessDecision::Allow;
        if !is_own && visible_scope(principal, &permission).is_nothing() {
            return Err(Error::invalid("scopes", format!("you have no {word} to give")));
        }
        scopes.insert(permission);
    }
    if scopes.is_empty() {
        return Err(Error::invalid("scopes", "name at least one permission, or leave the field out"));
    }
    Ok(scopes)
}

fn checked_tags(words: &[String], maker: Option<&BTreeSet<String>>) -> Result<BTreeSet<String>> {
    let rule = || Error::invalid("satellites", format!("1 to {MAX_ENTRIES} entries such as tag:staging"));
    if words.is_empty() || words.len() > MAX_ENTRIES {
        return Err(rule());
    }
    let mut tags = BTreeSet::new();
    for word in words {
        // The rule of access compares tags alone: a group or an id would be a lookup in every check.
        let Ok(Target::Tag(tag)) = word.parse() else { return Err(rule()) };
        if maker.is_some_and(|maker| !maker.contains(&tag)) {
            return Err(Error::invalid("satellites", format!("tag:{tag} is beyond the key that you act with")));
        }
        tags.insert(tag);
    }
    Ok(tags)
}

fn checked_networks(words: &[String], maker: Option<&Vec<String>>) -> Result<Vec<String>> {
    let wide = maker.map(|maker| parsed(maker));
    let networks = networks::checked(words)?;
    if let Some(beyond) = networks.iter().find(|network| wide.as_ref().is_some_and(|wide| !is_covered(network, wide))) {
        return Err(Error::invalid("addresses", format!("{beyond} is beyond the key that you act with")));
    }
    Ok(networks.iter().map(ToString::to_string).collect())
}

fn checked_rate(rate: Option<u32>, maker: Option<u32>) -> Result<Option<u32>> {
    if rate.is_some_and(|rate| !(1..=MAX_RATE).contains(&rate)) {
        return Err(Error::invalid("rate_per_minute", format!("must be 1 to {MAX_RATE}")));
    }
    Ok(earlier(rate, maker))
}

fn is_subset<T: Ord>(set: Option<&BTreeSet<T>>, other: Option<&BTreeSet<T>>) -> bool {
    match (set, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(set), Some(other)) => set.is_subset(other),
    }
}

/// The smaller of two limits, where `None` is none.
fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_key_gives_no_more_than_it_has() {
        let all = KeyLimits::default();
        let limited = |networks: &[&str], tags: &[&str], end: Option<i64>| KeyLimits {
            addresses: Some(words(networks)),
            satellite_tags: Some(words(tags).into_iter().collect()),
            expires_at: end.map(Timestamp::from_micros),
            ..KeyLimits::default()
        };
        let check = |inner: &KeyLimits, outer: &KeyLimits, expected| {
            assert_eq!(inner.is_within(outer), expected, "{inner:?} within {outer:?}");
        };
        let wide = limited(&["10.0.0.0/8"], &["staging", "web"], Some(9));
        check(&wide, &all, true);
        check(&all, &wide, false);
        check(&wide, &wide, true);
        check(&limited(&["10.1.0.0/16"], &["web"], Some(8)), &wide, true);
        check(&limited(&["10.1.0.0/16"], &["web"], Some(10)), &wide, false);
        check(&limited(&["10.1.0.0/16"], &["web"], None), &wide, false);
        check(&limited(&["11.1.0.0/16"], &["web"], Some(8)), &wide, false);
        check(&limited(&["10.1.0.0/16"], &["db"], Some(8)), &wide, false);
    }

    #[test]
    fn what_cannot_be_a_limit_is_refused_by_its_field() {
        let system = Principal::system();
        let check = |request: ApiKeyCreate, field: &str, part: &str| {
            let error = KeyLimits::checked(&request, &system, None, Timestamp::from_micros(0)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(field) && text.contains(part), "{text}");
        };
        check(
            ApiKeyCreate { scopes: Some(words(&["satellites.red"])), ..Default::default() },
            "scopes",
            "satellites.read",
        );
        check(ApiKeyCreate { scopes: Some(Vec::new()), ..Default::default() }, "scopes", "at least one");
        check(ApiKeyCreate { satellites: Some(words(&["web-1"])), ..Default::default() }, "satellites", "tag:");
        check(ApiKeyCreate { addresses: Some(words(&["home"])), ..Default::default() }, "addresses", "home");
        check(ApiKeyCreate { rate_per_minute: Some(0), ..Default::default() }, "rate_per_minute", "1 to");
    }
}
