//! Registration tokens in an SQL database.

use async_trait::async_trait;
use hive_wire::api::{RegistrationTokenInfo, RegistrationTokenSort};
use hive_wire::{RegistrationTokenId, Timestamp};

use super::filter::Filter;
use super::writer::Transaction;
use super::{Row, SqlStore, Statement, statements};
use crate::access::VisibleScope;
use crate::audit::AuditDraft;
use crate::{NewRegistrationTokenRow, RegistrationTokenRow, RegistrationTokenStore, RowRange, StoreResult, TokenState};

#[async_trait]
impl RegistrationTokenStore for SqlStore {
    async fn registration_token_create(&self, token: NewRegistrationTokenRow, audit: AuditDraft) -> StoreResult<()> {
        self.write(move |transaction| {
            Box::pin(async move {
                let statement = Statement::new(statements::TOKEN_INSERT)
                    .text(token.id)
                    .string_enum(token.scope)
                    .text_opt(token.team_id)
                    .bind(token.description)
                    .json(&token.actor)
                    .bind(token.actor.kind)
                    .bind(token.actor.name)
                    .text(token.authorised_by)
                    .time(token.created_at)
                    .time(token.expires_at)
                    .json(&token.tags)
                    .json(&token.allowed_tags)
                    .text_opt(token.for_satellite)
                    .bind(token.actor.id);
                transaction.execute(statement).await?;
                transaction.audit(audit);
                Ok(())
            })
        })
        .await
    }

    async fn registration_token_get(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenInfo>> {
        let row = self.fetch_optional(Statement::new(statements::TOKEN_GET).text(id)).await?;
        row.as_ref().map(read_token).transpose()
    }

    async fn registration_token_row(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenRow>> {
        let row = self.fetch_optional(Statement::new(statements::TOKEN_ROW).text(id)).await?;
        row.map(|row| {
            let info = read_token(&row)?;
            Ok(RegistrationTokenRow { info, actor: row.json("actor")?, max_uses: row.number("max_uses")? })
        })
        .transpose()
    }

    async fn registration_token_list(
        &self,
        visible: &VisibleScope,
        range: RowRange<RegistrationTokenSort>,
    ) -> StoreResult<(Vec<RegistrationTokenInfo>, u64)> {
        let mut filter = Filter::default();
        filter.visible_to("t.team_id", None, visible);
        self.fetch_part(&filter, statements::TOKEN_LIST, statements::TOKEN_ROWS_COUNTED, range, read_token).await
    }

    async fn registration_token_revoke(
        &self,
        id: RegistrationTokenId,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<bool> {
        self.execute_audited(Statement::new(statements::TOKEN_REVOKE).text(id).time(now), audit).await
    }
}

/// Returns why a token cannot be used, or `None` if it can.
pub(super) async fn token_state(
    transaction: &mut Transaction,
    id: RegistrationTokenId,
    now: Timestamp,
) -> StoreResult<Option<TokenState>> {
    let Some(row) = transaction.fetch_optional(Statement::new(statements::TOKEN_GET).text(id)).await? else {
        return Ok(Some(TokenState::Unknown));
    };
    let token = read_token(&row)?;
    Ok(match token {
        // A token that was consumed and has expired since is reported as consumed.
        RegistrationTokenInfo { used_at: Some(_), .. } => Some(TokenState::Used),
        RegistrationTokenInfo { revoked_at: Some(_), .. } => Some(TokenState::Revoked),
        RegistrationTokenInfo { expires_at, .. } if expires_at <= now => Some(TokenState::Expired),
        _ => None,
    })
}

fn read_token(row: &Row) -> StoreResult<RegistrationTokenInfo> {
    Ok(RegistrationTokenInfo {
        token_id: row.parse("id")?,
        scope: row.string_enum("scope")?,
        team_id: row.parse_opt("team_id")?,
        description: row.text_opt("description")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        used_at: row.time_opt("used_at")?,
        revoked_at: row.time_opt("revoked_at")?,
        tags: row.json("tags")?,
        allowed_tags: row.json("allowed_tags")?,
        for_satellite: row.parse_opt("for_satellite")?,
    })
}
