//! Users, teams and API keys in an SQL database.

use async_trait::async_trait;
use hive_wire::api::{Team, TeamMember, User};
use hive_wire::{ApiKeyId, TeamId, Timestamp, UserId};

use super::error::taken;
use super::{Row, SqlStore, Statement, text};
use crate::access::Role;
use crate::audit::AuditDraft;
use crate::{
    ApiKeyOwner, ApiKeyRow, IdentityStore, NewUser, StoreResult, UserPatch, UserRow, UserUpdated, Window,
};

#[async_trait]
impl IdentityStore for SqlStore {
    async fn user_create(&self, user: NewUser, audit: AuditDraft) -> StoreResult<User> {
        let NewUser { user, password_hash } = user;
        let statement = Statement::new(text::USER_INSERT)
            .text(user.id)
            .text(&user.username)
            .word(&user.role)
            .bind(password_hash)
            .time(user.created_at);
        self.add(statement, "username", audit).await?;
        Ok(user)
    }

    async fn user_get(&self, id: UserId) -> StoreResult<Option<UserRow>> {
        let row = self.fetch_optional(Statement::new(text::USER_GET).text(id)).await?;
        row.as_ref().map(read_user_row).transpose()
    }

    async fn user_find(&self, username: &str) -> StoreResult<Option<UserRow>> {
        let row = self.fetch_optional(Statement::new(text::USER_FIND).text(username)).await?;
        row.as_ref().map(read_user_row).transpose()
    }

    async fn user_list(&self, window: Window) -> StoreResult<(Vec<User>, u64)> {
        let [limit, offset] = window.values();
        let rows = self.fetch_all(Statement::new(text::USER_LIST).bind(limit).bind(offset)).await?;
        let total = self.fetch_total(Statement::new(text::USER_COUNT)).await?;
        Ok((rows.iter().map(read_user).collect::<StoreResult<_>>()?, total))
    }

    async fn user_update(&self, id: UserId, patch: UserPatch, audit: AuditDraft) -> StoreResult<UserUpdated> {
        self.write_simple(move |transaction| {
            Box::pin(async move {
                let Some(row) = transaction.fetch_optional(Statement::new(text::USER_GET).text(id)).await? else {
                    return Ok(UserUpdated::Unknown);
                };
                let Some(row) = transaction.fetch_optional(update(&read_user(&row)?, &patch)).await? else {
                    return Ok(UserUpdated::LastAdmin);
                };
                transaction.audit(audit).await?;
                Ok(UserUpdated::Updated(read_user(&row)?))
            })
        })
        .await
    }

    async fn user_password_set(
        &self,
        id: UserId,
        hash: String,
        before: Option<String>,
        audit: AuditDraft,
    ) -> StoreResult<bool> {
        self.change_audited(Statement::new(text::USER_PASSWORD_SET).text(id).bind(hash).bind(before), audit).await
    }

    async fn team_create(&self, team: Team, audit: AuditDraft) -> StoreResult<()> {
        let statement = Statement::new(text::TEAM_INSERT).text(team.id).bind(team.slug).time(team.created_at);
        self.add(statement, "slug", audit).await
    }

    async fn team_list(&self) -> StoreResult<Vec<Team>> {
        let rows = self.fetch_all(Statement::new(text::TEAM_LIST)).await?;
        rows.iter()
            .map(|row| Ok(Team { id: row.parse("id")?, slug: row.text("slug")?, created_at: row.time("created_at")? }))
            .collect()
    }

    async fn team_member_put(&self, team: TeamId, user: UserId, role: Role, audit: AuditDraft) -> StoreResult<()> {
        self.add(Statement::new(text::TEAM_MEMBER_PUT).text(team).text(user).word(role), "member", audit).await
    }

    async fn team_member_remove(&self, team: TeamId, user: UserId, audit: AuditDraft) -> StoreResult<bool> {
        self.change_audited(Statement::new(text::TEAM_MEMBER_REMOVE).text(team).text(user), audit).await
    }

    async fn team_member_list(&self, team: TeamId) -> StoreResult<Vec<TeamMember>> {
        let rows = self.fetch_all(Statement::new(text::TEAM_MEMBER_LIST).text(team)).await?;
        rows.iter()
            .map(|row| {
                Ok(TeamMember {
                    user_id: row.parse("user_id")?,
                    username: row.text("username")?,
                    role: row.word("role")?,
                })
            })
            .collect()
    }

    async fn team_memberships(&self, user: UserId) -> StoreResult<Vec<(TeamId, Role)>> {
        let rows = self.fetch_all(Statement::new(text::TEAM_MEMBERSHIPS).text(user)).await?;
        rows.iter().map(|row| Ok((row.parse("team_id")?, row.word("role")?))).collect()
    }

    async fn api_key_create(&self, key: ApiKeyRow, audit: AuditDraft) -> StoreResult<()> {
        let statement = Statement::new(text::API_KEY_INSERT)
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
        let rows = self.fetch_all(Statement::new(text::API_KEY_OWNER).text(id)).await?;
        rows.first().map(|first| read_api_key_owner(first, &rows)).transpose()
    }

    async fn api_key_list(&self, user: UserId) -> StoreResult<Vec<ApiKeyRow>> {
        self.fetch_all(Statement::new(text::API_KEY_LIST).text(user)).await?.iter().map(read_api_key).collect()
    }

    async fn api_key_rotate(
        &self,
        id: ApiKeyId,
        user: UserId,
        hash: String,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<Option<ApiKeyRow>> {
        let statement = Statement::new(text::API_KEY_ROTATE).text(id).text(user).bind(hash).time(now);
        self.write_simple(move |transaction| {
            Box::pin(async move {
                let Some(row) = transaction.fetch_optional(statement).await? else { return Ok(None) };
                transaction.audit(audit).await?;
                read_api_key(&row).map(Some)
            })
        })
        .await
    }

    async fn api_key_revoke(&self, id: ApiKeyId, user: UserId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool> {
        self.change_audited(Statement::new(text::API_KEY_REVOKE).text(id).text(user).time(now), audit).await
    }
}

impl SqlStore {
    /// Runs a statement that adds something; `unique` is what may be taken.
    async fn add(&self, statement: Statement, unique: &'static str, audit: AuditDraft) -> StoreResult<()> {
        self.write_simple(move |transaction| {
            Box::pin(async move {
                transaction.execute(statement).await.map_err(taken(unique))?;
                transaction.audit(audit).await?;
                Ok(())
            })
        })
        .await
    }
}

/// The statement that changes a user who is as `user` says now.
fn update(user: &User, patch: &UserPatch) -> Statement {
    let disabled_at = match patch.disabled {
        Some(true) => Some(user.disabled_at.unwrap_or(patch.now)),
        Some(false) => None,
        None => user.disabled_at,
    };
    let is_disabled_now = disabled_at.is_some() && user.disabled_at.is_none();
    Statement::new(text::USER_UPDATE)
        .text(user.id)
        .word(patch.role.as_ref().unwrap_or(&user.role))
        .time_opt(disabled_at)
        .number(i64::from(is_disabled_now))
}

fn read_user_row(row: &Row) -> StoreResult<UserRow> {
    Ok(UserRow {
        user: read_user(row)?,
        password_hash: row.text("password_hash")?,
        login_generation: row.number("login_generation")?,
    })
}

fn read_user(row: &Row) -> StoreResult<User> {
    Ok(User {
        id: row.parse("id")?,
        username: row.text("username")?,
        role: row.word("role")?,
        created_at: row.time("created_at")?,
        disabled_at: row.time_opt("disabled_at")?,
    })
}

/// Every row has the key and its owner, and one of the owner's teams.
fn read_api_key_owner(first: &Row, rows: &[Row]) -> StoreResult<ApiKeyOwner> {
    let user = User {
        id: first.parse("user_id")?,
        username: first.text("username")?,
        role: first.word("role")?,
        created_at: first.time("user_created_at")?,
        disabled_at: first.time_opt("disabled_at")?,
    };
    let mut teams = Vec::new();
    for row in rows {
        teams.extend(row.parse_opt("team_id")?.zip(row.word_opt("team_role")?));
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
