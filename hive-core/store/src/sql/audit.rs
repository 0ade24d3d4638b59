//! The audit log in an SQL database.

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::api::{AuditEntry, AuditQuery, AuditSort, AuditVerification, ChainFault};

use super::binding::storable;
use super::fields::corrupt_column;
use super::filter::Filter;
use super::{Row, SqlStore, Statement, Value, statements};
use crate::access::VisibleScope;
use crate::audit::chain::{self, ChainVerifier};
use crate::audit::{AuditDraft, AuditHead, AuditRecord};
use crate::{AuditStore, RowRange, StoreResult};

/// Records that are read at once for the verification.
const VERIFY_BATCH: u32 = 500;

#[async_trait]
impl AuditStore for SqlStore {
    async fn audit_append(&self, draft: AuditDraft) -> StoreResult<AuditEntry> {
        self.write(move |transaction| Box::pin(async move { Ok(transaction.audit(draft).clone()) })).await
    }

    async fn audit_list(
        &self,
        query: &AuditQuery,
        visible: &VisibleScope,
        range: RowRange<AuditSort>,
    ) -> StoreResult<(Vec<AuditEntry>, u64)> {
        let mut filter = Filter::default();
        filter
            .and_text("(a.actor_id = ? OR a.actor_name = ?)", query.actor.as_ref())
            .and_text("a.action = ?", query.action.as_ref())
            .and_text("a.satellite_id = ?", query.satellite_id)
            .visible_to("a.team_id", Some("a.satellite_id"), visible);
        if let Some(seq) = query.seq {
            filter.and("a.seq = ?", i64::try_from(seq).unwrap_or(i64::MAX));
        }
        // `since` is included and `until` is not, so that adjacent periods do not overlap.
        if let Some(since) = query.since {
            filter.and("a.timestamp >= ?", since.as_micros());
        }
        if let Some(until) = query.until {
            filter.and("a.timestamp < ?", until.as_micros());
        }
        self.fetch_part(&filter, statements::AUDIT_LIST, statements::AUDIT_ROWS_COUNTED, range, read_entry).await
    }

    async fn audit_get(&self, id: AuditId, visible: &VisibleScope) -> StoreResult<Option<AuditEntry>> {
        let mut filter = Filter::default();
        filter.and_text("a.id = ?", Some(id)).visible_to("a.team_id", Some("a.satellite_id"), visible);
        let row = self.fetch_optional(filter.statement(statements::AUDIT_LIST, "", &[])).await?;
        row.as_ref().map(read_entry).transpose()
    }

    async fn audit_records(&self, first_seq: u64, limit: u32) -> StoreResult<Vec<AuditRecord>> {
        let statement = Statement::new(statements::AUDIT_RECORDS).number(first_seq).number(limit);
        self.fetch_all(statement).await?.iter().map(read_record).collect()
    }

    async fn audit_head(&self) -> StoreResult<Option<AuditHead>> {
        let row = self.fetch_optional(Statement::new(statements::AUDIT_HEAD)).await?;
        row.as_ref().map(read_head).transpose()
    }

    async fn audit_verify(&self, public_key: Option<&str>) -> StoreResult<AuditVerification> {
        let mut verifier = ChainVerifier::new();
        if let Some(key) = public_key {
            verifier.trust(key);
        }
        // From the lowest number there can be: a forged record may be before the first one.
        let mut next = i64::MIN;
        loop {
            let statement = Statement::new(statements::AUDIT_ROWS).bind(next).number(VERIFY_BATCH);
            let rows = self.fetch_all(statement).await?;
            for row in &rows {
                verify_row(&mut verifier, row);
            }
            match rows.last().map(|row| row.int("seq")).transpose()? {
                // A page that is not full is the last one. `last + 1` must not overflow on a forged number.
                Some(last) if rows.len() == VERIFY_BATCH as usize && last < i64::MAX => next = last + 1,
                _ => return Ok(verifier.finish(None)),
            }
        }
    }
}

/// Returns the values of a record for the statement that inserts it.
pub(super) fn audit_row(entry: &AuditEntry, record: &str) -> Vec<Value> {
    let columns = AuditColumns::of(entry);
    Statement::values_only()
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
        .values
}

/// The columns by which a record is searched. They repeat fields of its text, which is what the hash covers.
#[derive(PartialEq, Eq)]
struct AuditColumns {
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

impl AuditColumns {
    fn of(entry: &AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            timestamp: entry.timestamp.as_micros(),
            // As they are stored: without zero bytes.
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

/// Returns the satellite of a record: its target, or `satellite_id` of its details.
fn satellite_of(entry: &AuditEntry) -> Option<String> {
    if entry.target.kind == "satellite" {
        return Some(entry.target.id.clone());
    }
    entry.details.get("satellite_id").and_then(|id| id.as_str()).map(str::to_owned)
}

pub(super) fn read_head(row: &Row) -> StoreResult<AuditHead> {
    Ok(AuditHead { seq: row.number("seq")?, hash: row.text("hash")? })
}

fn read_record(row: &Row) -> StoreResult<AuditRecord> {
    Ok(AuditRecord {
        // A negative number was not written by this program. As a large one it is reported as out of place.
        seq: row.int("seq")?.cast_unsigned(),
        record: row.text("record")?,
        previous_hash: row.text("previous_hash")?,
        hash: row.text("hash")?,
    })
}

/// Reads the entry from the hashed text: a column that was changed by hand has no effect.
fn read_entry(row: &Row) -> StoreResult<AuditEntry> {
    chain::parse(&read_record(row)?).map_err(|_| corrupt_column("record"))
}

fn verify_row(verifier: &mut ChainVerifier, row: &Row) {
    let seq = row.number("seq").unwrap_or_default();
    let Ok(stored) = read_record(row) else {
        return verifier.add_unreadable(seq);
    };
    verifier.add(&stored);
    let columns_match = chain::parse(&stored)
        .is_ok_and(|entry| AuditColumns::read(row).is_ok_and(|read| read == AuditColumns::of(&entry)));
    if !columns_match {
        // The verifier may have found the same record as changed already.
        verifier.note_once(ChainFault::Changed { seq });
    }
}
