//! Users in an SQL database.

use async_trait::async_trait;
use hive_wire::UserId;
use hive_wire::api::{User, UserSort};

use super::losses::{add_losses, revoke_lost};
use super::teams::remaining_rights;
use super::{Filter, Row, SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{NewUserRow, RowRange, StoreResult, UserPatch, UserRow, UserStore, UserUpdateOutcome};

#[async_trait]
impl UserStore for SqlStore {
    async fn user_create(&self, user: NewUserRow, audit: AuditDraft) -> StoreResult<User> {
        let NewUserRow { user, password_hash } = user;
        let statement = Statement::new(statements::USER_INSERT)
            .text(user.id)
            .text(&user.username)
            .string_enum(&user.role)
            .bind(password_hash)
            .time(user.created_at);
        self.add(statement, "username", audit).await?;
        Ok(user)
    }

    async fn user_get(&self, id: UserId) -> StoreResult<Option<UserRow>> {
        let row = self.fetch_optional(Statement::new(statements::USER_GET).text(id)).await?;
        row.as_ref().map(read_user_row).transpose()
    }

    async fn user_find(&self, username: &str) -> StoreResult<Option<UserRow>> {
        let row = self.fetch_optional(Statement::new(statements::USER_FIND).text(username)).await?;
        row.as_ref().map(read_user_row).transpose()
    }

    async fn user_list(&self, range: RowRange<UserSort>) -> StoreResult<(Vec<User>, u64)> {
        let (list, count) = (statements::USER_LIST, statements::USER_ROWS_COUNTED);
        self.fetch_part(&Filter::default(), list, count, range, read_user).await
    }

    async fn user_update(&self, id: UserId, patch: UserPatch, mut audit: AuditDraft) -> StoreResult<UserUpdateOutcome> {
        self.write(move |transaction| {
            Box::pin(async move {
                let Some(row) = transaction.fetch_optional(Statement::new(statements::USER_GET).text(id)).await? else {
                    return Ok(UserUpdateOutcome::Unknown);
                };
                // No row is returned if the user is the last enabled admin: the statement has that condition.
                let Some(row) = transaction.fetch_optional(update(&read_user(&row)?, &patch)).await? else {
                    return Ok(UserUpdateOutcome::LastAdmin);
                };
                let user = read_user(&row)?;
                let rights = remaining_rights(transaction, &user).await?;
                let losses = revoke_lost(transaction, id, &rights, &patch.needed, patch.now).await?;
                add_losses(&mut audit, &losses);
                transaction.audit(audit);
                Ok(UserUpdateOutcome::Updated(user, losses))
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
        self.execute_audited(Statement::new(statements::USER_PASSWORD_SET).text(id).bind(hash).bind(before), audit)
            .await
    }
}

/// Returns the statement that applies a patch to a user.
fn update(user: &User, patch: &UserPatch) -> Statement {
    let disabled_at = match patch.disabled {
        Some(true) => Some(user.disabled_at.unwrap_or(patch.now)),
        Some(false) => None,
        None => user.disabled_at,
    };
    // A disabled user's logins stay dead when the user is enabled again.
    let is_disabled_now = disabled_at.is_some() && user.disabled_at.is_none();
    Statement::new(statements::USER_UPDATE)
        .text(user.id)
        .string_enum(patch.role.as_ref().unwrap_or(&user.role))
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

pub(super) fn read_user(row: &Row) -> StoreResult<User> {
    Ok(User {
        id: row.parse("id")?,
        username: row.text("username")?,
        role: row.string_enum("role")?,
        created_at: row.time("created_at")?,
        disabled_at: row.time_opt("disabled_at")?,
    })
}
