//! The audit trail in an SQL database.

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::api::{AuditEntry, AuditQuery, AuditVerification, ChainFault};

use super::fields::damaged;
use super::filter::Filter;
use super::statement::storable;
use super::{Row, SqlStore, Statement, text};
use crate::access::Sight;
use crate::audit::AuditDraft;
use crate::audit::chain::{self, Verifier};
use crate::{AuditStore, StoreResult, Window};

/// Records verified at once.
const VERIFY_BATCH: u32 = 500;

#[async_trait]
impl AuditStore for SqlStore {
    async fn audit_append(&self, draft: AuditDraft) -> StoreResult<AuditEntry> {
        self.write_simple(move |transaction| Box::pin(transaction.audit(draft))).await
    }

    async fn audit_list(
        &self,
        query: &AuditQuery,
        sight: &Sight,
        window: Window,
    ) -> StoreResult<(Vec<AuditEntry>, u64)> {
        let mut filter = Filter::default();
        filter
            .and_text("(a.actor_id = ? OR a.actor_name = ?)", query.actor.as_ref())
            .and_text("a.action = ?", query.action.as_ref())
            .and_text("a.satellite_id = ?", query.satellite_id)
            .in_sight("a.team_id", sight);
        if let Some(since) = query.since {
            filter.and("a.timestamp >= ?", since.as_micros());
        }
        if let Some(until) = query.until {
            filter.and("a.timestamp < ?", until.as_micros());
        }
        let count = filter.statement(text::AUDIT_COUNT, "", &[]);
        let list = filter.statement(text::AUDIT_LIST, " ORDER BY a.seq DESC LIMIT ? OFFSET ?", &window.values());
        let total = self.fetch_total(count).await?;
        let rows = self.fetch_all(list).await?;
        Ok((rows.iter().map(read_entry).collect::<StoreResult<_>>()?, total))
    }

    async fn audit_get(&self, id: AuditId, sight: &Sight) -> StoreResult<Option<AuditEntry>> {
        let mut filter = Filter::default();
        filter.and_text("a.id = ?", Some(id)).in_sight("a.team_id", sight);
        let row = self.fetch_optional(filter.statement(text::AUDIT_LIST, "", &[])).await?;
        row.as_ref().map(read_entry).transpose()
    }

    async fn audit_lines(&self, first_seq: u64, limit: u32) -> StoreResult<Vec<AuditLine>> {
        let statement = Statement::new(text::AUDIT_LINES).number(first_seq).number(limit);
        self.fetch_all(statement).await?.iter().map(read_line).collect()
    }

    async fn audit_verify(&self) -> StoreResult<AuditVerification> {
        let mut verifier = Verifier::new();
        let mut next = i64::MIN;
        loop {
            let statement = Statement::new(text::AUDIT_ROWS).bind(next).number(VERIFY_BATCH);
            let rows = self.fetch_all(statement).await?;
            for row in &rows {
                verify_row(&mut verifier, row);
            }
            match rows.last().map(|row| row.int("seq")).transpose()? {
                Some(last) if rows.len() == VERIFY_BATCH as usize && last < i64::MAX => next = last + 1,
                _ => return Ok(verifier.finish(None)),
            }
        }
    }
}

/// Binds a sealed record to the statement that stores it.
pub(super) fn bind_audit(statement: Statement, entry: &AuditEntry, record: String) -> Statement {
    let columns = Columns::of(entry);
    statement
        .number(entry.seq)
        .bind(columns.id)
        .bind(columns.timestamp)
        .bind(columns.actor_id)
        .bind(columns.actor_name)
        .bind(columns.action)
        .bind(columns.target_type)
        .bind(columns.target_id)
        .bind(columns.satellite_id)
        .bind(columns.team_id)
        .bind(record)
        .text(&entry.previous_hash)
        .text(&entry.hash)
}

/// What a record is found by, beside its text.
#[derive(PartialEq, Eq)]
struct Columns {
    id: String,
    timestamp: i64,
    actor_id: String,
    actor_name: String,
    action: String,
    target_type: String,
    target_id: String,
    satellite_id: Option<String>,
    team_id: Option<String>,
}

impl Columns {
    fn of(entry: &AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            timestamp: entry.timestamp.as_micros(),
            actor_id: storable(entry.actor.id.clone()),
            actor_name: storable(entry.actor.name.clone()),
            action: storable(entry.action.clone()),
            target_type: storable(entry.target.kind.clone()),
            target_id: storable(entry.target.id.clone()),
            satellite_id: satellite_of(entry).map(storable),
            team_id: entry.team_id.map(|team| team.to_string()),
        }
    }

    fn read(row: &Row) -> StoreResult<Self> {
        Ok(Self {
            id: row.text("id")?,
            timestamp: row.int("timestamp")?,
            actor_id: row.text("actor_id")?,
            actor_name: row.text("actor_name")?,
            action: row.text("action")?,
            target_type: row.text("target_type")?,
            target_id: row.text("target_id")?,
            satellite_id: row.text_opt("satellite_id")?,
            team_id: row.text_opt("team_id")?,
        })
    }
}

/// The satellite a record is about: its target, or the one its details name.
fn satellite_of(entry: &AuditEntry) -> Option<String> {
    if entry.target.kind == "satellite" {
        return Some(entry.target.id.clone());
    }
    entry.details.get("satellite_id").and_then(|id| id.as_str()).map(str::to_owned)
}

fn read_line(row: &Row) -> StoreResult<AuditLine> {
    Ok(AuditLine {
        // One that is negative was put there by somebody else, and is far from where it should be.
        seq: row.int("seq")?.cast_unsigned(),
        record: row.text("record")?,
        previous_hash: row.text("previous_hash")?,
        hash: row.text("hash")?,
    })
}

/// Reads what was hashed, so that a changed column cannot tell another story.
fn read_entry(row: &Row) -> StoreResult<AuditEntry> {
    chain::entry(&read_line(row)?).map_err(|_| damaged("record"))
}

fn verify_row(verifier: &mut Verifier, row: &Row) {
    let seq = row.number("seq").unwrap_or_default();
    let Ok(line) = read_line(row) else {
        return verifier.unreadable(seq);
    };
    verifier.record(&line);
    let is_found_by_its_own =
        chain::entry(&line).is_ok_and(|entry| Columns::read(row).is_ok_and(|read| read == Columns::of(&entry)));
    if !is_found_by_its_own {
        verifier.note_once(ChainFault::Changed { seq });
    }
}
