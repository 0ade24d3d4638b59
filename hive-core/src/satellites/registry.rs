//! `DeviceRegistry` in this process.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hive_wire::agent::{ToAgent, close};
use hive_wire::api::{
    Page, PageRequest, Satellite, SatelliteEvent, SatelliteFilter, SatelliteStatus, SatelliteType, SatelliteUpdate,
};
use hive_wire::credential::{Secret, satellite_key};
use hive_wire::satellite_api::{RegisterRequest, RegisteredSatellite};
use hive_wire::{SatelliteId, TeamId};
use secrecy::SecretString;
use serde_json::{Value, json};
use tracing::warn;

use crate::access::{Permission, Reach, sight};
use crate::audit::AuditDraft;
use crate::commands::payload::check_known;
use crate::events::Audience;
use crate::hive::acting::{Handle, Subject};
use crate::hive::{ActingHive, Hive};
use crate::identity::verifier::hash_key;
use crate::link::Outgoing;
use crate::registry::DeviceRegistry;
use crate::store::{Assignment, SatellitePatch, SatelliteQuery, SatelliteRow, Window};
use crate::{Error, Result, Subscription};

/// The most labels of one satellite.
const MAX_TAGS: usize = 64;
/// The most characters of a label or a region.
const MAX_LABEL_LEN: usize = 64;

#[async_trait]
impl DeviceRegistry for Handle {
    async fn register(&self, token: SecretString, request: RegisterRequest) -> Result<RegisteredSatellite> {
        self.hive.register_satellite(&token, request, self.principal.ip.clone(), None).await.map_err(Error::from)
    }

    async fn disconnect(&self, id: SatelliteId) -> Result<()> {
        let row = self.satellite_for(id, Permission::SatellitesManage).await?;
        let record = self.record("satellite.disconnect", Subject::satellite(&row), json!({}));
        self.hive.store().audit_append(record).await?;
        self.hive.inner.links.close(id, close::GOING_AWAY, "an admin ended the link");
        Ok(())
    }

    async fn get(&self, id: SatelliteId) -> Result<Option<Satellite>> {
        match self.satellite_for(id, Permission::SatellitesRead).await {
            Ok(row) => Ok(Some(self.hive.satellite(row))),
            Err(Error::SatelliteNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, filter: SatelliteFilter, page: PageRequest) -> Result<Page<Satellite>> {
        let window = window(page)?;
        let query = SatelliteQuery {
            sight: sight(&self.principal, &Permission::SatellitesRead),
            status: filter.status,
            tags: filter.tags,
            search: filter.search,
            team_id: filter.team_id,
        };
        let (items, total) = match filter.online {
            None => {
                let (rows, total) = self.hive.store().satellite_list(&query, window).await?;
                (rows.into_iter().map(|row| self.hive.satellite(row)).collect(), total)
            }
            Some(online) => {
                // Presence lives in memory, so that what is left after it is counted here.
                let (rows, _) = self.hive.store().satellite_list(&query, Window::ALL).await?;
                let all =
                    rows.into_iter().map(|row| self.hive.satellite(row)).filter(|satellite| satellite.online == online);
                let all: Vec<_> = all.collect();
                let total = all.len() as u64;
                (all.into_iter().skip(window.offset as usize).take(window.limit as usize).collect(), total)
            }
        };
        Ok(Page { items, total, page: page.page, per_page: page.per_page })
    }

    async fn update(&self, id: SatelliteId, update: SatelliteUpdate) -> Result<Satellite> {
        let row = self.satellite_for(id, Permission::SatellitesTag).await?;
        if update.status.is_some() || update.region.is_some() || update.team_id.is_some() {
            self.allow(Permission::SatellitesManage, Reach::Platform)?;
        }
        let assignment = match update.team_id.filter(|team| *team != row.team_id) {
            Some(team) => Some(self.assignment(&row, team).await?),
            None => None,
        };
        check_labels("tags", update.tags.iter().flatten())?;
        check_labels("region", update.region.iter())?;
        update.status.iter().try_for_each(|status| check_known("status", status))?;
        let changes = changes(&update);
        let record = self.record("satellite.update", Subject::satellite(&row), json!(changes));
        let SatelliteUpdate { name, tags, status, region, team_id: _ } = update;
        let (assignment, api_key) = assignment.unzip();
        let patch = SatellitePatch { name, tags: tags.map(normalized), status, region, assignment };
        let (hive, team) = (self.hive.clone(), row.team_id);
        let change = async move { hive.carry_out_update(id, team, patch, api_key, changes, record).await };
        self.hive.carry_through(change).await
    }

    async fn remove(&self, id: SatelliteId) -> Result<()> {
        let row = self.satellite_for(id, Permission::SatellitesDelete).await?;
        let record = self.record("satellite.remove", Subject::satellite(&row), json!({ "name": row.name }));
        let hive = self.hive.clone();
        self.hive.carry_through(async move { hive.carry_out_removal(id, row.team_id, record).await }).await
    }

    async fn get_by_tag(&self, tag: &str) -> Result<Vec<Satellite>> {
        let mut query = SatelliteQuery::in_sight(sight(&self.principal, &Permission::SatellitesRead));
        query.tags = vec![tag.to_owned()];
        let (rows, _) = self.hive.store().satellite_list(&query, Window::ALL).await?;
        Ok(rows.into_iter().map(|row| self.hive.satellite(row)).collect())
    }

    async fn subscribe(&self) -> Result<Subscription<SatelliteEvent>> {
        let (sender, subscription) = Subscription::channel();
        let events = self.hive.inner.events.subscribe();
        let sight = sight(&self.principal, &Permission::SatellitesRead);
        self.tell(&sender, self.hive.clone().pass_on(events, sight, sender.clone())).await?;
        Ok(subscription)
    }
}

impl ActingHive {
    /// What another team means for a satellite: a new key, which says whom it serves.
    async fn assignment(&self, row: &SatelliteRow, team_id: Option<TeamId>) -> Result<(Assignment, Secret)> {
        self.check_team(team_id).await?;
        let source = self.hive.source();
        let secret = data_encoding::BASE64URL_NOPAD.encode(&source.random::<32>());
        let api_key = Secret(satellite_key(team_id.is_none(), row.id, &secret));
        Ok((Assignment { team_id, api_key_hash: hash_key(&secret, source) }, api_key))
    }
}

impl Hive {
    /// Does something to its end even if whoever asked for it does not wait: what follows from a change of the store must not
    /// be left out.
    async fn carry_through<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.inner.tasks.spawn(change).await.map_err(Error::internal)?
    }

    async fn carry_out_update(
        &self,
        id: SatelliteId,
        team: Option<TeamId>,
        patch: SatellitePatch,
        api_key: Option<Secret>,
        changes: BTreeMap<String, Value>,
        record: AuditDraft,
    ) -> Result<Satellite> {
        let row = self.store().satellite_update(id, patch, record).await?;
        let row = row.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?;
        self.publish(|seq| SatelliteEvent::Updated { seq, id, changes });
        if let Some(api_key) = api_key {
            let leaving = Audience::Leaving { from: team, to: row.team_id };
            self.publish_to(leaving, |seq| SatelliteEvent::Removed { seq, id });
            // Before the key: the satellite is asked to end what it runs over the link that it still has.
            self.end_work_of_other_teams(id, row.team_id).await;
            self.hand_over_key(id, api_key);
        } else if let Some(live) = self.inner.links.get(id).filter(|_| is_usable(&row.status)) {
            // What was queued before the satellite could be used runs now.
            self.start_delivery(id, live);
        }
        Ok(self.satellite(row))
    }

    async fn carry_out_removal(&self, id: SatelliteId, team: Option<TeamId>, record: AuditDraft) -> Result<()> {
        if !self.store().satellite_remove(id, self.source().now(), record).await? {
            return Err(Error::SatelliteNotFound(id.to_string()));
        }
        self.end_work_of_removed(id).await;
        self.inner.links.close(id, close::GOING_AWAY, "the satellite was removed");
        self.inner.positions.forget(id);
        self.publish_to(Audience::Former(team), |seq| SatelliteEvent::Removed { seq, id });
        Ok(())
    }

    /// Gives a satellite its new key and ends the link of the old one. One that is offline registers again.
    fn hand_over_key(&self, id: SatelliteId, api_key: Secret) {
        let live = self.inner.links.get(id);
        if live.is_some_and(|live| live.send(Outgoing::Control(ToAgent::RotateKey { api_key })).is_err()) {
            warn!(satellite.id = %id, "the new key did not reach the satellite; it has to register again");
        }
        self.inner.links.close(id, close::GOING_AWAY, "the satellite has a new key");
    }

    /// A stored satellite as clients see it.
    pub(crate) fn satellite(&self, row: SatelliteRow) -> Satellite {
        let SatelliteRow {
            id,
            name,
            team_id,
            status,
            capabilities,
            tags,
            claimed_tags,
            region,
            satellite_url,
            system,
            agent_version,
            last_heartbeat,
            journal: _,
            conflict_at,
            created_at,
            updated_at,
        } = row;
        // What was not written yet is as true as what was.
        let seen = self.inner.seen.get(id);
        let last_seen = seen.as_ref().map(|seen| seen.at).max(last_heartbeat);
        let (new_system, new_version) = seen.map(|seen| (seen.system, seen.agent_version)).unwrap_or_default();
        Satellite {
            id,
            name,
            satellite_type: if team_id.is_some() { SatelliteType::Team } else { SatelliteType::Global },
            team_id,
            status,
            online: self.inner.links.is_online(id),
            tags,
            claimed_tags,
            region,
            capabilities,
            system: new_system.unwrap_or(system),
            agent_version: new_version.or(agent_version),
            satellite_url,
            problems: self.inner.links.problems(id),
            last_seen,
            conflict_at,
            created_at,
            updated_at,
        }
    }
}

/// Which part of the list a page is.
pub(crate) fn window(page: PageRequest) -> Result<Window> {
    if page.page == 0 {
        return Err(Error::invalid("page", "pages count from 1"));
    }
    if !(1..=PageRequest::MAX_PER_PAGE).contains(&page.per_page) {
        return Err(Error::invalid("per_page", format!("must be 1 to {}", PageRequest::MAX_PER_PAGE)));
    }
    Ok(Window { offset: u64::from(page.page - 1) * u64::from(page.per_page), limit: page.per_page })
}

/// Checks labels: 1 to 64 printable characters each, no commas, at most 64 of them.
pub(crate) fn check_labels<'l>(field: &str, labels: impl Iterator<Item = &'l String>) -> Result<()> {
    for (count, label) in labels.enumerate() {
        if !is_label(label) || count >= MAX_TAGS {
            let rule = format!("1 to {MAX_LABEL_LEN} letters, digits or -_.:/=@ each, at most {MAX_TAGS} of them");
            return Err(Error::invalid(field, rule));
        }
    }
    Ok(())
}

/// Checks patterns of labels, in which `*` stands for any characters.
pub(crate) fn check_patterns<'l>(field: &str, patterns: impl Iterator<Item = &'l String>) -> Result<()> {
    let labels: Vec<_> = patterns.map(|pattern| pattern.replace('*', "x")).collect();
    check_labels(field, labels.iter())
}

fn is_label(label: &str) -> bool {
    let is_allowed = |c: char| c.is_alphanumeric() || "-_.:/=@".contains(c);
    !label.is_empty() && label.chars().count() <= MAX_LABEL_LEN && label.chars().all(is_allowed)
}

/// Labels sorted and without doubles.
pub(crate) fn normalized(mut tags: Vec<String>) -> Vec<String> {
    tags.sort();
    tags.dedup();
    tags
}

fn changes(update: &SatelliteUpdate) -> BTreeMap<String, Value> {
    match json!(update) {
        Value::Object(fields) => fields.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

/// Why a satellite takes no commands now.
pub(crate) fn inactive(row: &SatelliteRow) -> Error {
    Error::SatelliteInactive { name: row.name.to_string(), status: row.status.clone() }
}

/// Whether commands may be given to a satellite of this status.
pub(crate) fn is_usable(status: &SatelliteStatus) -> bool {
    matches!(status, SatelliteStatus::Active | SatelliteStatus::Error)
}
