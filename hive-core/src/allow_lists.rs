//! The allow lists of teams and satellites, in memory: each call and each link is compared with them.
//!
//! A list of a team limits where its members may use it from; elsewhere a member is like somebody who is in no such team. A list of a
//! satellite limits where it may connect from. Global admins are members of no team, so that no list locks all of them out.
//!
//! A change in this process holds at once. Those of other processes on the same database are read with each sweep.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use hive_wire::TeamId;
use hive_wire::api::{AllowList, AllowListUpdate, Role};
use ipnet::IpNet;
use tokio::sync::Mutex;

use crate::networks::{self, contain};
use crate::store::audit::AuditDraft;
use crate::store::{AllowListRow, AllowListStore, AllowListSubject};
use crate::sync::{read, write};
use crate::{Error, Result};

type Lists = HashMap<AllowListSubject, Vec<IpNet>>;

/// All allow lists of teams and satellites.
pub(crate) struct AllowLists {
    store: Arc<dyn AllowListStore>,
    lists: RwLock<Lists>,
    /// Held from a change or a read in the store until the memory has it: an older read must not replace a newer change.
    changing: Mutex<()>,
}

impl AllowLists {
    /// Reads the lists.
    pub(crate) async fn open(store: Arc<dyn AllowListStore>) -> Result<Self> {
        let lists = Self { store, lists: RwLock::default(), changing: Mutex::default() };
        // Before the first call is answered: without the lists everybody would be let in.
        lists.refresh().await?;
        Ok(lists)
    }

    /// Reads the lists again. Returns whether any has changed in another process.
    pub(crate) async fn refresh(&self) -> Result<bool> {
        let _changing = self.changing.lock().await;
        // Under the lock, so that a change that is stored meanwhile is not overwritten by what was read before it.
        let rows = self.store.allow_list_all().await?;
        let stored = rows.into_iter().map(|AllowListRow { subject, networks }| (subject, networks::parsed(&networks)));
        let stored: Lists = stored.collect();
        let mut lists = write(&self.lists);
        let is_changed = *lists != stored;
        *lists = stored;
        Ok(is_changed)
    }

    /// Returns whether the list of a team or a satellite has an address. Without a list every address is allowed.
    pub(crate) fn allows(&self, subject: AllowListSubject, ip: Option<&str>) -> bool {
        // A caller without a known address is in no network.
        read(&self.lists).get(&subject).is_none_or(|networks| contain(networks, ip))
    }

    /// Leaves out the teams that may not be used from an address.
    pub(crate) fn usable_teams<T: FromIterator<(TeamId, Role)>>(
        &self,
        teams: impl IntoIterator<Item = (TeamId, Role)>,
        ip: Option<&str>,
    ) -> T {
        teams.into_iter().filter(|(team, _)| self.allows(AllowListSubject::Team(*team), ip)).collect()
    }

    /// Returns whether one of these teams may not be used from an address.
    pub(crate) fn refuses_any(&self, teams: &BTreeMap<TeamId, Role>, ip: Option<&str>) -> bool {
        teams.keys().any(|team| !self.allows(AllowListSubject::Team(*team), ip))
    }

    /// Returns the list of a team or a satellite.
    pub(crate) fn get(&self, subject: AllowListSubject) -> AllowList {
        let networks = |networks: &Vec<IpNet>| networks.iter().map(ToString::to_string).collect();
        AllowList { addresses: read(&self.lists).get(&subject).map(networks) }
    }

    /// Replaces the list of a team or a satellite. False if it does not exist.
    pub(crate) async fn set(
        &self,
        subject: AllowListSubject,
        networks: Option<Vec<IpNet>>,
        record: AuditDraft,
    ) -> Result<bool> {
        let _changing = self.changing.lock().await;
        let words = networks.as_ref().map(|networks| networks.iter().map(ToString::to_string).collect());
        // First stored, then in memory: a list that is not stored would hold until the next start.
        let is_set = self.store.allow_list_set(subject, words, record).await?;
        if is_set {
            let mut lists = write(&self.lists);
            match networks {
                Some(networks) => lists.insert(subject, networks),
                None => lists.remove(&subject),
            };
        }
        Ok(is_set)
    }
}

/// Reads the networks of a change. `present` is an address that must stay allowed unless the change is forced, with what it is of.
pub(crate) fn checked(update: &AllowListUpdate, present: Option<(&str, &str)>) -> Result<Option<Vec<IpNet>>> {
    let Some(words) = &update.addresses else { return Ok(None) };
    // The networks before the own address, so that a wrong one is named also where nothing is forced.
    let networks = networks::checked(words)?;
    match present {
        Some((ip, of)) if !update.force && !contain(&networks, Some(ip)) => {
            let rule =
                format!("none of the networks has {ip}, the address of {of}; with `force` they are set nevertheless");
            Err(Error::invalid("addresses", rule))
        }
        _ => Ok(Some(networks)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(networks: &[&str], force: bool) -> AllowListUpdate {
        AllowListUpdate { addresses: Some(networks.iter().map(|word| (*word).to_owned()).collect()), force }
    }

    #[test]
    fn a_list_without_the_own_address_is_refused_unless_it_is_forced() {
        let own = Some(("203.0.113.9", "your call"));
        let check = |networks: &[&str], force, is_set| {
            assert_eq!(checked(&update(networks, force), own).is_ok(), is_set, "{networks:?}");
        };
        check(&["203.0.113.0/24"], false, true);
        check(&["192.0.2.0/24"], false, false);
        check(&["192.0.2.0/24"], true, true);
        // Nobody at all is not a list of networks; without a list is `null`.
        check(&[], true, false);
        assert!(checked(&update(&["192.0.2.0/24"], false), None).is_ok(), "a caller without an address");
        let lifted = AllowListUpdate { addresses: None, force: false };
        assert_eq!(checked(&lifted, own).unwrap(), None);
    }
}
