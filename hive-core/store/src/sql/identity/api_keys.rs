//! API keys in an SQL database.

use async_trait::async_trait;
use hive_wire::api::{ApiKeySort, User};
use hive_wire::{ApiKeyId, Timestamp, UserId};

use super::losses::{add_losses, revoke_made_with};
use super::{Filter, Row, SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{ApiKeyOwner, ApiKeyRow, ApiKeyStore, KeyRotation, Losses, PreviousKey, RowRange, StoreResult};

#[async_trait]
impl ApiKeyStore for SqlStore {
    async fn api_key_create(&self, key: ApiKeyRow, audit: AuditDraft) -> StoreResult<()> {
        let statement = Statement::new(statements::API_KEY_INSERT)
            .text(key.id)
            .text(key.user_id)
            .bind(key.name)
            .bind(key.hash)
            .json_opt(key.scopes.as_ref())
            .time(key.created_at)
            .time_opt(key.expires_at)
            .time_opt(key.revoked_at)
            .text_opt(key.parent)
            .json_opt(key.satellite_tags.as_ref())
            .json_opt(key.addresses.as_ref())
            .number_opt(key.rate_per_minute)
            .time_opt(key.last_used_at)
            .bind(key.previous.as_ref().map(|previous| previous.hash.clone()))
            .time_opt(key.previous.map(|previous| previous.until));
        self.add(statement, "id", audit).await
    }

    async fn api_key_owner(&self, id: ApiKeyId) -> StoreResult<Option<ApiKeyOwner>> {
        let rows = self.fetch_all(Statement::new(statements::API_KEY_OWNER).text(id)).await?;
        rows.first().map(|first| read_api_key_owner(first, &rows)).transpose()
    }

    async fn api_key_list(&self, user: UserId, range: RowRange<ApiKeySort>) -> StoreResult<(Vec<ApiKeyRow>, u64)> {
        let mut filter = Filter::default();
        filter.and_text("k.user_id = ?", Some(user));
        self.fetch_part(&filter, statements::API_KEY_LIST, statements::API_KEY_ROWS_COUNTED, range, read_api_key).await
    }

    async fn api_key_rotate(
        &self,
        id: ApiKeyId,
        user: UserId,
        rotation: KeyRotation,
        audit: AuditDraft,
    ) -> StoreResult<Option<ApiKeyRow>> {
        let KeyRotation { hash, overlap_until, now } = rotation;
        let statement = Statement::new(statements::API_KEY_ROTATE).text(id).text(user).bind(hash).time(now);
        let statement = statement.time_opt(overlap_until);
        self.write(move |transaction| {
            Box::pin(async move {
                let Some(row) = transaction.fetch_optional(statement).await? else { return Ok(None) };
                transaction.audit(audit);
                read_api_key(&row).map(Some)
            })
        })
        .await
    }

    async fn api_key_revoke(
        &self,
        id: ApiKeyId,
        user: UserId,
        now: Timestamp,
        mut audit: AuditDraft,
    ) -> StoreResult<Option<Losses>> {
        self.write(move |transaction| {
            Box::pin(async move {
                let revoke = Statement::new(statements::API_KEY_REVOKE).text(id).text(user).time(now);
                if transaction.execute(revoke).await? == 0 {
                    return Ok(None);
                }
                // Keys that were made with it, and those that were made with these, in one statement.
                let made = transaction.fetch_all(Statement::new(statements::API_KEY_LIST_MADE).text(id)).await?;
                let made = made.iter().map(|row| row.text("id")).collect::<StoreResult<Vec<_>>>()?;
                let losses = revoke_made_with(transaction, made, now).await?;
                // The record is completed in the transaction: only here is known what went with the key.
                add_losses(&mut audit, &losses);
                transaction.audit(audit);
                Ok(Some(losses))
            })
        })
        .await
    }

    async fn api_key_note_used(&self, uses: Vec<(ApiKeyId, Timestamp)>) -> StoreResult<()> {
        self.write(move |transaction| {
            Box::pin(async move {
                // A statement each: the uses are collected for a while, and are few.
                for (id, at) in uses {
                    transaction.execute(Statement::new(statements::API_KEY_NOTE_USED).text(id).time(at)).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// Reads a key with its owner from rows that repeat both, each with one of the owner's teams.
fn read_api_key_owner(first: &Row, rows: &[Row]) -> StoreResult<ApiKeyOwner> {
    let user = User {
        id: first.parse("user_id")?,
        username: first.text("username")?,
        role: first.string_enum("role")?,
        created_at: first.time("user_created_at")?,
        disabled_at: first.time_opt("disabled_at")?,
    };
    let mut teams = Vec::new();
    for row in rows {
        // A user without teams has one row, in which both columns are NULL.
        teams.extend(row.parse_opt("team_id")?.zip(row.string_enum_opt("team_role")?));
    }
    Ok(ApiKeyOwner { key: read_api_key(first)?, user, teams })
}

fn read_api_key(row: &Row) -> StoreResult<ApiKeyRow> {
    Ok(ApiKeyRow {
        id: row.parse("id")?,
        user_id: row.parse("user_id")?,
        name: row.text("name")?,
        hash: row.text("key_hash")?,
        parent: row.parse_opt("parent")?,
        previous: row
            .text_opt("previous_hash")?
            .zip(row.time_opt("previous_until")?)
            .map(|(hash, until)| PreviousKey { hash, until }),
        scopes: row.json_opt("scopes")?,
        satellite_tags: row.json_opt("selector")?,
        addresses: row.json_opt("addresses")?,
        rate_per_minute: row.number_opt("rate_per_minute")?,
        last_used_at: row.time_opt("last_used_at")?,
        created_at: row.time("created_at")?,
        expires_at: row.time_opt("expires_at")?,
        revoked_at: row.time_opt("revoked_at")?,
    })
}
