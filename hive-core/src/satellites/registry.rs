//! `DeviceRegistry` in this process.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hive_wire::agent::{ToAgent, close};
use hive_wire::api::{
    AllowList, AllowListUpdate, AuditResult, EventCursor, Page, PageRequest, Satellite, SatelliteFilter, SatelliteSort,
    SatelliteUpdate, TagCount, TagFilter, TagSort,
};
use hive_wire::credential::{Secret, satellite_key};
use hive_wire::satellite_api::{RegisterRequest, RegisteredSatellite};
use hive_wire::{SatelliteId, TeamId};
use secrecy::SecretString;
use serde_json::{Value, json};
use tracing::warn;

use super::{Revocation, Satellites};
use crate::access::{Permission, Principal, ResourceScope, visible_scope};
use crate::audit::draft::{Subject, draft, record};
use crate::audit::{AuditAction, AuditDraft};
use crate::authorization::{authorize_action, satellite_for};
use crate::events::EventSubject;
use crate::handle::ServiceHandle;
use crate::identity::verifier::hash_key;
use crate::lists::listing::Listing;
use crate::satellites::DeviceRegistry;
use crate::store::{
    Assignment, RowOrder as _, RowRange, SatelliteOrder, SatellitePatch, SatelliteQuery, SatelliteRow, StoreError,
    TagListQuery,
};
use crate::validate::{check_known, check_labels, normalized};
use crate::{Error, EventItem, Result, Subscription};

/// Rows that are read in one go.
pub(super) const ROWS_AT_ONCE: usize = 250;

#[async_trait]
impl DeviceRegistry for ServiceHandle<Satellites> {
    async fn register(&self, token: SecretString, request: RegisterRequest) -> Result<RegisteredSatellite> {
        let ip = self.principal.ip.clone();
        self.service.register(&token, request, ip, None).await.map_err(Error::from)
    }

    async fn disconnect(&self, id: SatelliteId) -> Result<()> {
        self.service.disconnect(&self.principal, id).await
    }

    async fn get(&self, id: SatelliteId) -> Result<Option<Satellite>> {
        match self.service.row_for(&self.principal, id, &Permission::SatellitesRead).await {
            Ok(row) => Ok(Some(self.service.view(row).await)),
            // One of another team is answered as one that does not exist.
            Err(Error::SatelliteNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, filter: SatelliteFilter, page: PageRequest<SatelliteSort>) -> Result<Page<Satellite>> {
        self.service.list(&self.principal, filter, page).await
    }

    async fn update(&self, id: SatelliteId, update: SatelliteUpdate) -> Result<Satellite> {
        self.service.update(&self.principal, id, update).await
    }

    async fn remove(&self, id: SatelliteId) -> Result<()> {
        self.service.remove(&self.principal, id).await
    }

    async fn get_by_tag(&self, tag: &str) -> Result<Vec<Satellite>> {
        let mut query = SatelliteQuery::visible_to(visible_scope(&self.principal, &Permission::SatellitesRead));
        query.tags = vec![tag.to_owned()];
        let rows = self.service.rows_matching(&query).await?;
        Ok(self.service.views(rows).await)
    }

    async fn list_tags(&self, filter: TagFilter, page: PageRequest<TagSort>) -> Result<Page<TagCount>> {
        let listing = Listing::of_rows(&("tags", &filter), page)?;
        let visible = visible_scope(&self.principal, &Permission::SatellitesRead);
        let query = TagListQuery { visible, team_id: filter.team, search: filter.search };
        let rows = self.service.store.satellite_tag_list(&query, listing.range()).await?;
        Ok(listing.answer(rows, |tag| tag))
    }

    async fn allow_list(&self, id: SatelliteId) -> Result<AllowList> {
        self.service.allow_list(&self.principal, id).await
    }

    async fn allow_list_set(&self, id: SatelliteId, update: AllowListUpdate) -> Result<AllowList> {
        self.service.set_allow_list(&self.principal, id, update).await
    }

    async fn subscribe(&self, after: Option<EventCursor>) -> Result<Subscription<EventItem>> {
        self.service.events.subscribe(&self.principal, after).await
    }
}

impl Satellites {
    /// Finds a satellite on which the principal has the permission.
    pub(super) async fn row_for(
        &self,
        principal: &Principal,
        id: SatelliteId,
        permission: &Permission,
    ) -> Result<SatelliteRow> {
        satellite_for(self.store.as_ref(), principal, id, permission).await
    }

    async fn disconnect(&self, principal: &Principal, id: SatelliteId) -> Result<()> {
        let row = self.row_for(principal, id, &Permission::SatellitesManage).await?;
        let subject = Subject::satellite(&row);
        self.audit
            // Stored before it is done: a link that is ended without a record could not be explained.
            .audit_append(record(&self.context, principal, AuditAction::SatelliteDisconnect, subject, json!({})))
            .await?;
        self.links.close(id, close::GOING_AWAY, "an admin ended the link");
        Ok(())
    }

    /// Returns all satellites that match, by name. It reads their rows in parts, so that the descriptions of thousands of
    /// machines do not occupy a worker at once.
    pub(super) async fn rows_matching(&self, query: &SatelliteQuery) -> Result<Vec<SatelliteRow>> {
        // The ids first, which an index has: rows are large, and are read in parts.
        let ids = self.store.satellite_list_ids(query, RowRange::ALL).await?;
        let mut rows = Vec::with_capacity(ids.len());
        for part in ids.chunks(ROWS_AT_ONCE) {
            rows.extend(self.rows_of(query, part.to_vec(), SatelliteOrder::DEFAULT).await?);
            // A reader's connection may answer without waiting.
            tokio::task::yield_now().await;
        }
        Ok(rows)
    }

    async fn update(
        self: &Arc<Self>,
        principal: &Principal,
        id: SatelliteId,
        update: SatelliteUpdate,
    ) -> Result<Satellite> {
        let row = self.row_for(principal, id, &Permission::SatellitesTag).await?;
        if update.status.is_some() || update.region.is_some() || update.team_id.is_some() {
            authorize_action(principal, &Permission::SatellitesManage, ResourceScope::Platform)?;
        }
        // The same team again is no move: its satellite keeps the key that it has.
        let assignment = match update.team_id.filter(|team| *team != row.team_id) {
            Some(team) => Some(self.assignment(&row, team).await?),
            None => None,
        };
        check_labels("tags", update.tags.iter().flatten())?;
        check_labels("region", update.region.iter())?;
        update.status.iter().try_for_each(|status| check_known("status", status))?;
        let changes = changes(&update);
        let record =
            record(&self.context, principal, AuditAction::SatelliteUpdate, Subject::satellite(&row), json!(changes));
        // Made now, because the fields of the update are taken apart below.
        let problem = json!({ "name": update.name, "problem": "name taken" });
        let actor = principal.actor();
        let subject = Subject::satellite(&row);
        let refused = draft(&self.context, actor, AuditAction::SatelliteUpdate, subject, problem, AuditResult::Failure);
        let SatelliteUpdate { name, tags, status, region, team_id: _ } = update;
        let (assignment, api_key) = assignment.unzip();
        let patch = SatellitePatch { name, tags: tags.map(normalized), status, region, assignment };
        let (satellites, before) = (self.clone(), EventSubject::from(&row));
        let change = async move { satellites.apply_update(before, patch, api_key, changes, (record, refused)).await };
        // Also where the caller hangs up: events and the link must follow what is stored.
        self.context.run_to_end(change).await
    }

    /// What another team means for a satellite: a new key, which says which team it serves.
    async fn assignment(&self, row: &SatelliteRow, team_id: Option<TeamId>) -> Result<(Assignment, Secret)> {
        self.identity.check_team(team_id).await?;
        let source = self.context.source();
        // A new key, because the kind of a key says whether its satellite is a team's.
        let secret = data_encoding::BASE64URL_NOPAD.encode(&source.random::<32>());
        let api_key = Secret(satellite_key(team_id.is_none(), row.id, &secret));
        Ok((Assignment { team_id, api_key_hash: hash_key(&secret, source) }, api_key))
    }

    async fn apply_update(
        &self,
        before: EventSubject,
        patch: SatellitePatch,
        api_key: Option<Secret>,
        changes: BTreeMap<String, Value>,
        (record, refused): (AuditDraft, AuditDraft),
    ) -> Result<Satellite> {
        let id = before.satellite;
        let row_lock = self.row_locks.lock(id).await;
        let row = match self.store.satellite_update(id, patch, record).await {
            Err(StoreError::Taken(what)) => {
                return Err(self.name_taken(refused, format!("the {what} is taken")).await?);
            }
            updated => updated?,
        };
        let row = row.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?;
        let now = EventSubject::from(&row);
        let before = self.events.note_subject(now.clone()).unwrap_or(before);
        self.events.publish_change(before, now, changes);
        drop(row_lock);
        if let Some(api_key) = api_key {
            // Before the key: the satellite is asked to end what it runs over the link that it still has.
            self.revoke(id, Revocation::MovedTo(row.team_id)).await;
            self.send_key(id, api_key);
        } else if row.status.accepts_commands() {
            for observer in self.observers.all() {
                observer.on_usable(id);
            }
        }
        Ok(self.view(row).await)
    }

    async fn remove(self: &Arc<Self>, principal: &Principal, id: SatelliteId) -> Result<()> {
        let row = self.row_for(principal, id, &Permission::SatellitesDelete).await?;
        let details = json!({ "name": row.name });
        let record = record(&self.context, principal, AuditAction::SatelliteRemove, Subject::satellite(&row), details);
        let satellites = self.clone();
        self.context.run_to_end(async move { satellites.apply_removal(EventSubject::from(&row), record).await }).await
    }

    async fn apply_removal(&self, before: EventSubject, record: AuditDraft) -> Result<()> {
        let id = before.satellite;
        let row_lock = self.row_locks.lock(id).await;
        if !self.store.satellite_remove(id, self.context.now(), record).await? {
            return Err(Error::SatelliteNotFound(id.to_string()));
        }
        let former = self.events.forget_subject(id).unwrap_or(before);
        drop(row_lock);
        self.revoke(id, Revocation::Removed).await;
        self.links.close(id, close::GOING_AWAY, "the satellite was removed");
        self.positions.remove(id);
        self.telemetry.forget(id);
        self.events.publish_removal(former);
        Ok(())
    }

    /// Sends a satellite its new key and closes the link of the old one. A satellite that is offline has to register again.
    fn send_key(&self, id: SatelliteId, api_key: Secret) {
        let link = self.links.get(id);
        if link.is_some_and(|link| link.send(ToAgent::RotateKey { api_key }).is_err()) {
            warn!(satellite.id = %id, "the new key did not reach the satellite; it has to register again");
        }
        self.links.close(id, close::GOING_AWAY, "the satellite has a new key");
    }
}

fn changes(update: &SatelliteUpdate) -> BTreeMap<String, Value> {
    match json!(update) {
        Value::Object(fields) => fields.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}
