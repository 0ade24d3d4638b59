//! Users, teams and API keys in an SQL database.

use async_trait::async_trait;
use hive_wire::api::{Team, User};
use hive_wire::{ApiKeyId, TeamId, Timestamp, UserId};

use super::error::taken;
use super::{Row, SqlStore, Statement, text};
use crate::access::Role;
use crate::audit::AuditDraft;
use crate::store::{ApiKeyOwner, ApiKeyRow, IdentityStore, NewUser, PasswordRow, StoreResult};

#[async_trait]
impl IdentityStore for SqlStore {
    async fn user_create(&self, user: NewUser, audit: AuditDraft) -> StoreResult<User> {
        let NewUser { user, password_hash } = user;
        let statement = Statement::new(text::USER_INSERT)
            .text(user.id)
            .text(&user.username)
            .word(user.role)
            .bind(password_hash)
            .time(user.created_at);
        self.add(statement, "username", audit).await?;
        Ok(user)
    }

    async fn user_get(&self, id: UserId) -> StoreResult<Option<User>> {
        let row = self.fetch_optional(Statement::new(text::USER_GET).text(id)).await?;
        row.as_ref().map(read_user).transpose()
    }

    async fn user_find(&self, username: &str) -> StoreResult<Option<PasswordRow>> {
        let row = self.fetch_optional(Statement::new(text::USER_FIND).text(username)).await?;
        row.map(|row| Ok(PasswordRow { user: read_user(&row)?, password_hash: row.text("password_hash")? })).transpose()
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

fn read_user(row: &Row) -> StoreResult<User> {
    Ok(User {
        id: row.parse("id")?,
        username: row.text("username")?,
        role: row.word("role")?,
        created_at: row.time("created_at")?,
    })
}

/// Every row has the key and its owner, and one of the owner's teams.
fn read_api_key_owner(first: &Row, rows: &[Row]) -> StoreResult<ApiKeyOwner> {
    let user = User {
        id: first.parse("user_id")?,
        username: first.text("username")?,
        role: first.word("role")?,
        created_at: first.time("user_created_at")?,
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
