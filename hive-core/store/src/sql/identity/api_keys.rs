//! API keys in an SQL database.

use async_trait::async_trait;
use hive_wire::api::User;
use hive_wire::{ApiKeyId, Timestamp, UserId};

use super::{Row, SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{ApiKeyOwner, ApiKeyRow, ApiKeyStore, StoreResult};

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
            .time_opt(key.revoked_at);
        self.add(statement, "id", audit).await
    }

    async fn api_key_owner(&self, id: ApiKeyId) -> StoreResult<Option<ApiKeyOwner>> {
        let rows = self.fetch_all(Statement::new(statements::API_KEY_OWNER).text(id)).await?;
        rows.first().map(|first| read_api_key_owner(first, &rows)).transpose()
    }

    async fn api_key_list(&self, user: UserId) -> StoreResult<Vec<ApiKeyRow>> {
        self.fetch_all(Statement::new(statements::API_KEY_LIST).text(user)).await?.iter().map(read_api_key).collect()
    }

    async fn api_key_rotate(
        &self,
        id: ApiKeyId,
        user: UserId,
        hash: String,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<Option<ApiKeyRow>> {
        let statement = Statement::new(statements::API_KEY_ROTATE).text(id).text(user).bind(hash).time(now);
        self.write(move |transaction| {
            Box::pin(async move {
                let Some(row) = transaction.fetch_optional(statement).await? else { return Ok(None) };
                transaction.audit(audit);
                read_api_key(&row).map(Some)
            })
        })
        .await
    }

    async fn api_key_revoke(&self, id: ApiKeyId, user: UserId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool> {
        self.execute_audited(Statement::new(statements::API_KEY_REVOKE).text(id).text(user).time(now), audit).await
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
        scopes: row.json_opt("scopes")?,
        created_at: row.time("created_at")?,
        expires_at: row.time_opt("expires_at")?,
        revoked_at: row.time_opt("revoked_at")?,
    })
}
