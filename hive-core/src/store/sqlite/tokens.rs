//! Registration tokens in SQLite.

use async_trait::async_trait;
use hive_wire::api::RegistrationTokenInfo;
use hive_wire::{RegistrationTokenId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, query};

use super::SqliteStore;
use super::bind::{Bind, assembled};
use super::fields::Fields;
use super::writer::Transaction;
use crate::access::Sight;
use crate::audit::AuditDraft;
use crate::store::sql::{self, Filter};
use crate::store::{NewRegistrationToken, RegistrationTokenStore, StoreResult, TokenState};

#[async_trait]
impl RegistrationTokenStore for SqliteStore {
    async fn registration_token_create(&self, token: NewRegistrationToken, audit: AuditDraft) -> StoreResult<()> {
        self.write_simple(move |transaction| {
            Box::pin(async move {
                let statement = query(sql::TOKEN_INSERT)
                    .text(token.id)
                    .word(token.scope)
                    .text_opt(token.team_id)
                    .bind(token.description)
                    .bind(token.created_by)
                    .time(token.created_at)
                    .time(token.expires_at);
                transaction.execute(statement).await?;
                transaction.audit(audit).await?;
                Ok(())
            })
        })
        .await
    }

    async fn registration_token_get(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenInfo>> {
        let row = self.read().await?.fetch_optional(query(sql::TOKEN_GET).text(id)).await?;
        row.as_ref().map(read_token).transpose()
    }

    async fn registration_token_list(&self, sight: &Sight) -> StoreResult<Vec<RegistrationTokenInfo>> {
        let mut filter = Filter::default();
        filter.in_sight("t.team_id", sight);
        let statement = assembled(filter.statement(sql::TOKEN_LIST, " ORDER BY t.created_at DESC, t.id DESC", &[]));
        self.read().await?.fetch_all(statement).await?.iter().map(read_token).collect()
    }

    async fn registration_token_revoke(
        &self,
        id: RegistrationTokenId,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<bool> {
        self.write_simple(move |transaction| {
            Box::pin(async move {
                let is_revoked = transaction.execute(query(sql::TOKEN_REVOKE).text(id).time(now)).await? > 0;
                if is_revoked {
                    transaction.audit(audit).await?;
                }
                Ok(is_revoked)
            })
        })
        .await
    }
}

/// Why a token cannot be used; `None` where it can.
pub(super) async fn token_state(
    transaction: &mut Transaction,
    id: RegistrationTokenId,
    now: Timestamp,
) -> StoreResult<Option<TokenState>> {
    let Some(row) = transaction.fetch_optional(query(sql::TOKEN_GET).text(id)).await? else {
        return Ok(Some(TokenState::Unknown));
    };
    let token = read_token(&row)?;
    Ok(match token {
        RegistrationTokenInfo { used_at: Some(_), .. } => Some(TokenState::Used),
        RegistrationTokenInfo { revoked_at: Some(_), .. } => Some(TokenState::Revoked),
        RegistrationTokenInfo { expires_at, .. } if expires_at <= now => Some(TokenState::Expired),
        _ => None,
    })
}

fn read_token(row: &SqliteRow) -> StoreResult<RegistrationTokenInfo> {
    Ok(RegistrationTokenInfo {
        token_id: row.parse("id")?,
        scope: row.word("scope")?,
        team_id: row.parse_opt("team_id")?,
        description: row.text_opt("description")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        used_at: row.time_opt("used_at")?,
        revoked_at: row.time_opt("revoked_at")?,
    })
}
