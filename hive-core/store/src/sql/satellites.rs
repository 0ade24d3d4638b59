//! Satellites in an SQL database.

mod registration;

use std::fmt::Display;

use async_trait::async_trait;
use hive_wire::agent::SystemInfo;
use hive_wire::api::{CommandStatus, TagCount, TagSort};
use hive_wire::{RegistrationTokenId, SatelliteId, SatelliteName, Timestamp};
use serde_json::{Map, Value as Json};

use super::binding::enum_string;
use super::error::map_unique_violation;
use super::fields::corrupt_column;
use super::filter::{Filter, like_pattern};
use super::many_rows::{MAX_ROWS, ManyRowsStatement};
use super::writer::Transaction;
use super::{Row, SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{
    JournalPosition, JournalRow, MAX_COUNTED, NewSatellite, OpenWork, RegisterOutcome, RegistrationRetry, RowRange,
    SatelliteDescription, SatelliteKeyRow, SatelliteOrder, SatellitePatch, SatelliteQuery, SatelliteRow,
    SatelliteStore, StoreResult, TagListQuery,
};

#[async_trait]
impl SatelliteStore for SqlStore {
    async fn satellite_register(
        &self,
        token: RegistrationTokenId,
        satellite: NewSatellite,
        audit: AuditDraft,
    ) -> StoreResult<RegisterOutcome> {
        self.write(move |transaction| Box::pin(registration::register(transaction, token, satellite, audit))).await
    }

    async fn satellite_register_again(
        &self,
        token: RegistrationTokenId,
        again: RegistrationRetry,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>> {
        self.write(move |transaction| Box::pin(registration::register_again(transaction, token, again, audit))).await
    }

    async fn satellite_get(&self, id: SatelliteId) -> StoreResult<Option<SatelliteRow>> {
        let row = self.fetch_optional(Statement::new(statements::SATELLITE_GET).text(id)).await?;
        row.as_ref().map(read_satellite).transpose()
    }

    async fn satellite_find(&self, name: &SatelliteName) -> StoreResult<Option<SatelliteRow>> {
        let row = self.fetch_optional(Statement::new(statements::SATELLITE_FIND).text(name)).await?;
        row.as_ref().map(read_satellite).transpose()
    }

    async fn satellite_get_many(&self, ids: &[SatelliteId]) -> StoreResult<Vec<SatelliteRow>> {
        self.satellites_with(&statements::SATELLITE_GET_MANY, ids).await
    }

    async fn satellite_find_many(&self, names: &[SatelliteName]) -> StoreResult<Vec<SatelliteRow>> {
        self.satellites_with(&statements::SATELLITE_FIND_MANY, names).await
    }

    async fn satellite_list(
        &self,
        query: &SatelliteQuery,
        range: RowRange<SatelliteOrder>,
    ) -> StoreResult<(Vec<SatelliteRow>, u64)> {
        let filter = filter(query);
        self.fetch_part(&filter, statements::SATELLITE_LIST, statements::SATELLITE_ROWS_COUNTED, range, read_satellite)
            .await
    }

    async fn satellite_list_ids(
        &self,
        query: &SatelliteQuery,
        range: RowRange<SatelliteOrder>,
    ) -> StoreResult<Vec<SatelliteId>> {
        let list = filter(query).part(statements::SATELLITE_LIST_IDS, &range);
        self.fetch_all(list).await?.iter().map(|row| row.parse("id")).collect()
    }

    async fn satellite_tag_list(
        &self,
        query: &TagListQuery,
        range: RowRange<TagSort>,
    ) -> StoreResult<(Vec<TagCount>, u64)> {
        let TagListQuery { visible, team_id, search } = query;
        let mut filter = Filter::default();
        filter
            .and_raw("s.deleted_at IS NULL")
            .visible_to("s.team_id", Some("s.id"), visible)
            .and_text("s.team_id = ?", *team_id);
        filter.and_text(r"LOWER(t.tag) LIKE LOWER(?) ESCAPE '\'", search.as_deref().map(like_pattern));
        let list = filter.part_grouped(statements::TAG_LIST, " GROUP BY t.tag", &range);
        let total = self.fetch_total(filter.statement(statements::TAG_COUNT, "", &[])).await?.min(MAX_COUNTED + 1);
        let read = |row: &Row| Ok(TagCount { tag: row.text("tag")?, satellites: row.number("satellites")? });
        Ok((self.fetch_all(list).await?.iter().map(read).collect::<StoreResult<_>>()?, total))
    }

    async fn satellite_update(
        &self,
        id: SatelliteId,
        patch: SatellitePatch,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>> {
        self.write(move |transaction| Box::pin(update(transaction, id, patch, audit))).await
    }

    async fn satellite_remove(&self, id: SatelliteId, now: Timestamp, mut audit: AuditDraft) -> StoreResult<bool> {
        self.write(move |transaction| {
            Box::pin(async move {
                if transaction.execute(Statement::new(statements::SATELLITE_REMOVE).text(id).time(now)).await? == 0 {
                    return Ok(false);
                }
                transaction.execute(Statement::new(statements::SATELLITE_GROUPS_LEAVE).text(id)).await?;
                // Whether the satellite still runs them cannot be known any more.
                let delivered = CommandStatus::OutcomeUnknown;
                let ended = end_open_work(transaction, id, delivered, "the satellite was removed", now).await?;
                add_ended(&mut audit, ended);
                transaction.audit(audit);
                Ok(true)
            })
        })
        .await
    }

    async fn satellite_activate(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool> {
        self.execute_audited(Statement::new(statements::SATELLITE_ACTIVATE).text(id).time(now), audit).await
    }

    async fn satellite_open_work(&self, id: SatelliteId) -> StoreResult<Option<OpenWork>> {
        let row = self.fetch_optional(Statement::new(statements::SATELLITE_OPEN_WORK).text(id)).await?;
        row.map(|row| {
            Ok(OpenWork {
                status: row.string_enum("status")?,
                has_commands: row.int("has_commands")? != 0,
                has_revoked: row.int("has_revoked")? != 0,
            })
        })
        .transpose()
    }

    async fn satellite_key(&self, id: SatelliteId) -> StoreResult<Option<SatelliteKeyRow>> {
        let row = self.fetch_optional(Statement::new(statements::SATELLITE_KEY).text(id)).await?;
        row.map(|row| {
            Ok(SatelliteKeyRow { hash: row.text("api_key_hash")?, generation: row.number("key_generation")? })
        })
        .transpose()
    }

    async fn satellite_superseded_keys(&self, id: SatelliteId, limit: u32) -> StoreResult<Vec<String>> {
        let statement = Statement::new(statements::SUPERSEDED_KEYS).text(id).number(limit);
        self.fetch_all(statement).await?.iter().map(|row| row.text("key_hash")).collect()
    }

    async fn satellite_superseded_keys_prune(&self, before: Timestamp) -> StoreResult<()> {
        self.execute_unaudited(Statement::new(statements::SUPERSEDED_KEYS_PRUNE).time(before)).await.map(drop)
    }

    async fn satellite_describe(&self, descriptions: Vec<SatelliteDescription>) -> StoreResult<()> {
        self.write(move |transaction| {
            Box::pin(async move {
                for SatelliteDescription { id, system, agent_version } in descriptions {
                    // The host name has a column of its own, because a search looks for it.
                    let hostname = system.as_ref().map(|system| &system.hostname);
                    let statement = Statement::new(statements::SATELLITE_DESCRIBE)
                        .text(id)
                        .text_opt(hostname)
                        .json_opt(system.as_ref())
                        .bind(agent_version);
                    transaction.execute(statement).await?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn satellite_journal_set(&self, id: SatelliteId, journal: JournalRow) -> StoreResult<()> {
        let statement = Statement::new(statements::SATELLITE_JOURNAL_SET)
            .text(id)
            .bind(journal.id)
            .bind(journal.start_id)
            .number_opt(journal.position);
        self.write(move |transaction| Box::pin(async move { transaction.execute(statement).await.map(drop) })).await
    }

    async fn satellite_journal_advance(&self, positions: Vec<JournalPosition>) -> StoreResult<()> {
        self.write(move |transaction| {
            Box::pin(async move {
                for JournalPosition { satellite_id, journal_id, position } in positions {
                    let statement = Statement::new(statements::SATELLITE_JOURNAL_ADVANCE)
                        .text(satellite_id)
                        .bind(journal_id)
                        .number(position);
                    transaction.execute(statement).await?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn satellite_conflict(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool> {
        self.execute_audited(Statement::new(statements::SATELLITE_CONFLICT).text(id).time(now), audit).await
    }
}

impl SqlStore {
    /// Reads the satellites with these ids or names.
    async fn satellites_with<T: Display + Sync>(
        &self,
        statement: &'static ManyRowsStatement,
        wanted: &[T],
    ) -> StoreResult<Vec<SatelliteRow>> {
        let mut satellites = Vec::with_capacity(wanted.len());
        for wanted in wanted.chunks(MAX_ROWS) {
            let rows = wanted.iter().map(|wanted| Statement::values_only().text(wanted).values).collect();
            for row in &self.fetch_rows(statement, rows).await? {
                satellites.push(read_satellite(row)?);
            }
        }
        Ok(satellites)
    }
}

fn filter(query: &SatelliteQuery) -> Filter {
    let SatelliteQuery { visible, status, tags, search, team_id, ids, selection } = query;
    let mut filter = Filter::default();
    filter
        .and_raw("s.deleted_at IS NULL")
        .visible_to("s.team_id", Some("s.id"), visible)
        .and_text("s.team_id = ?", *team_id);
    // Each tag is a condition of its own: a satellite must have all of them.
    filter.and_text("s.status = ?", status.as_ref().map(enum_string));
    for tag in tags {
        filter.and_text("s.id IN (SELECT satellite_id FROM satellite_tags WHERE tag = ?)", Some(tag));
    }
    filter.and_text(
        r"(LOWER(s.name) LIKE LOWER(?) ESCAPE '\' OR LOWER(s.hostname) LIKE LOWER(?) ESCAPE '\')",
        search.as_deref().map(like_pattern),
    );
    if let Some(ids) = ids {
        filter.one_of("s.id", ids);
    }
    if let Some(selection) = selection {
        filter.selected_by(selection);
    }
    filter
}

async fn update(
    transaction: &mut Transaction,
    id: SatelliteId,
    patch: SatellitePatch,
    mut audit: AuditDraft,
) -> StoreResult<Option<SatelliteRow>> {
    let is_reassigned = patch.assignment.is_some();
    let tags = patch.tags.map(sorted);
    let (team_id, api_key_hash) = match patch.assignment {
        Some(assignment) => (assignment.team_id, Some(assignment.api_key_hash)),
        None => (None, None),
    };
    // Before the update replaces the hash.
    if api_key_hash.is_some() {
        supersede_key(transaction, id, audit.timestamp).await?;
    }
    let statement = Statement::new(statements::SATELLITE_UPDATE)
        .text(id)
        .text_opt(patch.name)
        .json_opt(tags.as_ref())
        .string_enum_opt(patch.status)
        .bind(patch.region)
        .time(audit.timestamp)
        .bind(api_key_hash)
        .text_opt(team_id);
    let Some(row) = transaction.fetch_optional(statement).await.map_err(map_unique_violation("name"))? else {
        return Ok(None);
    };
    if let Some(tags) = tags {
        // The table repeats the tags of the row for searches, and is replaced as a whole.
        transaction.execute(Statement::new(statements::SATELLITE_TAGS_CLEAR).text(id)).await?;
        insert_tags(transaction, id, &tags).await?;
    }
    if is_reassigned {
        let (delivered, why) = (CommandStatus::Cancelled, "the satellite was given to another team");
        let ended = end_open_work(transaction, id, delivered, why, audit.timestamp).await?;
        add_ended(&mut audit, ended);
    }
    transaction.audit(audit);
    read_satellite(&row).map(Some)
}

fn add_ended(audit: &mut AuditDraft, ended: Json) {
    // Only here it is known how many there were: the draft was made before the transaction.
    if let Some(details) = audit.details.as_object_mut() {
        details.insert("ended".into(), ended);
    }
}

/// Ends the open commands and sessions of a satellite: queued commands as cancelled, delivered ones as `delivered`. Returns how
/// many there were, in the form of the audit record.
async fn end_open_work(
    transaction: &mut Transaction,
    id: SatelliteId,
    delivered: CommandStatus,
    why: &'static str,
    now: Timestamp,
) -> StoreResult<Json> {
    let mut ended = Map::new();
    for (status, is_queued) in [(CommandStatus::Cancelled, true), (delivered, false)] {
        let statement = Statement::new(statements::SATELLITE_COMMANDS_END).text(id).bind(status.as_str());
        let count = transaction.execute(statement.bind(why).time(now).bind(is_queued)).await?;
        // Both rounds may have the same status.
        let total = ended.get(status.as_str()).and_then(Json::as_u64).unwrap_or(0) + count;
        ended.insert(status.as_str().into(), total.into());
    }
    let sessions = Statement::new(statements::SATELLITE_SESSIONS_END).text(id).bind(why).time(now);
    ended.insert("sessions".into(), transaction.execute(sessions).await?.into());
    Ok(Json::Object(ended))
}

/// Keeps the hash of the key that is about to be replaced.
async fn supersede_key(transaction: &mut Transaction, id: SatelliteId, now: Timestamp) -> StoreResult<()> {
    transaction.execute(Statement::new(statements::SATELLITE_KEY_SUPERSEDE).text(id).time(now)).await?;
    Ok(())
}

async fn insert_tags(transaction: &mut Transaction, id: SatelliteId, tags: &[String]) -> StoreResult<()> {
    for tag in tags {
        transaction.execute(Statement::new(statements::SATELLITE_TAG_INSERT).text(id).text(tag)).await?;
    }
    Ok(())
}

fn sorted(mut tags: Vec<String>) -> Vec<String> {
    tags.sort();
    tags.dedup();
    tags
}

fn read_satellite(row: &Row) -> StoreResult<SatelliteRow> {
    Ok(SatelliteRow {
        id: row.parse("id")?,
        name: row.text("name")?.try_into().map_err(|_| corrupt_column("name"))?,
        team_id: row.parse_opt("team_id")?,
        status: row.string_enum("status")?,
        capabilities: row.json("capabilities")?,
        tags: row.json("tags")?,
        claimed_tags: row.json("claimed_tags")?,
        region: row.text_opt("region")?,
        satellite_url: row.text_opt("satellite_url")?,
        system: row.json::<SystemInfo>("system_info")?,
        agent_version: row.text_opt("agent_version")?,
        journal: read_journal(row)?,
        conflict_at: row.time_opt("conflict_at")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn read_journal(row: &Row) -> StoreResult<Option<JournalRow>> {
    let Some(id) = row.text_opt("journal_id")? else { return Ok(None) };
    let (start_id, position) = (row.text_opt("start_id")?, row.number_opt("journal_position")?);
    Ok(Some(JournalRow { id, start_id, position }))
}
