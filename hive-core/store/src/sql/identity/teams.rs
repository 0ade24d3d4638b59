//! Teams and their members in an SQL database.

use async_trait::async_trait;
use hive_wire::api::{Team, TeamMember, TeamMemberSort, TeamSort, User};
use hive_wire::{TeamId, UserId};

use super::losses::{add_losses, revoke_lost};
use super::users::read_user;
use super::{Filter, Row, SqlStore, Statement, statements};
use crate::access::{Role, VisibleTeams};
use crate::audit::AuditDraft;
use crate::sql::writer::Transaction;
use crate::{Losses, MemberLosses, NeededRoles, RemainingRights, RowRange, StoreResult, TeamPatch, TeamStore};

#[async_trait]
impl TeamStore for SqlStore {
    async fn team_create(&self, team: Team, audit: AuditDraft) -> StoreResult<()> {
        let statement = Statement::new(statements::TEAM_INSERT).text(team.id).bind(team.slug).time(team.created_at);
        let statement = statement.string_enum(team.team_user);
        self.add(statement, "slug", audit).await
    }

    async fn team_get(&self, id: TeamId) -> StoreResult<Option<Team>> {
        let row = self.fetch_optional(Statement::new(statements::TEAM_GET).text(id)).await?;
        row.as_ref().map(read_team).transpose()
    }

    async fn team_list(&self, visible: &VisibleTeams, range: RowRange<TeamSort>) -> StoreResult<(Vec<Team>, u64)> {
        let mut filter = Filter::default();
        filter.of_visible_teams("t.id", visible);
        self.fetch_part(&filter, statements::TEAM_LIST, statements::TEAM_ROWS_COUNTED, range, read_team).await
    }

    async fn team_update(
        &self,
        id: TeamId,
        patch: TeamPatch,
        needed: NeededRoles,
        mut audit: AuditDraft,
    ) -> StoreResult<Option<(Team, Vec<MemberLosses>)>> {
        let statement = Statement::new(statements::TEAM_UPDATE).text(id).string_enum_opt(patch.team_user);
        self.write(move |transaction| {
            Box::pin(async move {
                let Some(row) = transaction.fetch_optional(statement).await? else { return Ok(None) };
                let team = read_team(&row)?;
                let (mut lost, mut total) = (Vec::new(), Losses::default());
                // Each member by itself: what is lost depends on the roles in other teams.
                for row in transaction.fetch_all(Statement::new(statements::TEAM_USERS).text(id)).await? {
                    let user = read_user(&row)?;
                    let rights = remaining_rights(transaction, &user).await?;
                    let losses = revoke_lost(transaction, user.id, &rights, &needed, audit.timestamp).await?;
                    total.commands.extend(losses.commands.iter().cloned());
                    total.registration_tokens += losses.registration_tokens;
                    // Kept apart, because the streams of each user are looked at afterwards.
                    lost.push(MemberLosses { user: user.id, losses });
                }
                // One record with the sum: the change was one.
                add_losses(&mut audit, &total);
                transaction.audit(audit);
                Ok(Some((team, lost)))
            })
        })
        .await
    }

    async fn team_member_put(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        needed: NeededRoles,
        audit: AuditDraft,
    ) -> StoreResult<Losses> {
        let put = Statement::new(statements::TEAM_MEMBER_PUT).text(team).text(user).string_enum(role);
        Ok(self.change_member(put, user, needed, audit).await?.unwrap_or_default())
    }

    async fn team_member_remove(
        &self,
        team: TeamId,
        user: UserId,
        needed: NeededRoles,
        audit: AuditDraft,
    ) -> StoreResult<Option<Losses>> {
        let remove = Statement::new(statements::TEAM_MEMBER_REMOVE).text(team).text(user);
        self.change_member(remove, user, needed, audit).await
    }

    async fn team_member_list(
        &self,
        team: TeamId,
        range: RowRange<TeamMemberSort>,
    ) -> StoreResult<(Vec<TeamMember>, u64)> {
        let mut filter = Filter::default();
        filter.and_text("m.team_id = ?", Some(team));
        let (list, count) = (statements::TEAM_MEMBER_LIST, statements::TEAM_MEMBER_ROWS_COUNTED);
        self.fetch_part(&filter, list, count, range, read_member).await
    }

    async fn team_memberships(&self, user: UserId) -> StoreResult<Vec<(TeamId, Role)>> {
        let rows = self.fetch_all(Statement::new(statements::TEAM_MEMBERSHIPS).text(user)).await?;
        rows.iter().map(|row| Ok((row.parse("team_id")?, row.string_enum("role")?))).collect()
    }
}

impl SqlStore {
    /// Changes a membership, and revokes what the user loses with it. `None` if nothing was changed.
    async fn change_member(
        &self,
        change: Statement,
        user: UserId,
        needed: NeededRoles,
        mut audit: AuditDraft,
    ) -> StoreResult<Option<Losses>> {
        self.write(move |transaction| {
            Box::pin(async move {
                // The user was no member: nothing is lost, and there is nothing to record.
                if transaction.execute(change).await? == 0 {
                    return Ok(None);
                }
                let row = transaction.fetch_optional(Statement::new(statements::USER_GET).text(user)).await?;
                let Some(row) = row else { return Ok(None) };
                // After the change and in its transaction, so that what is read here is what holds from now on.
                let rights = remaining_rights(transaction, &read_user(&row)?).await?;
                let losses = revoke_lost(transaction, user, &rights, &needed, audit.timestamp).await?;
                add_losses(&mut audit, &losses);
                transaction.audit(audit);
                Ok(Some(losses))
            })
        })
        .await
    }
}

/// Reads the rights of a user within the transaction that changes them.
pub(super) async fn remaining_rights(transaction: &mut Transaction, user: &User) -> StoreResult<RemainingRights> {
    let rows = transaction.fetch_all(Statement::new(statements::TEAM_MEMBERSHIPS).text(user.id)).await?;
    let teams = rows.iter().map(|row| Ok((row.parse("team_id")?, row.string_enum("role")?)));
    Ok(RemainingRights {
        is_disabled: user.disabled_at.is_some(),
        role: user.role.clone(),
        teams: teams.collect::<StoreResult<_>>()?,
    })
}

fn read_member(row: &Row) -> StoreResult<TeamMember> {
    Ok(TeamMember {
        user_id: row.parse("user_id")?,
        username: row.text("username")?,
        role: row.string_enum("role")?,
        // PostgreSQL and SQLite have different booleans for an expression, and the same number.
        follows_team: row.int("follows_team")? != 0,
    })
}

fn read_team(row: &Row) -> StoreResult<Team> {
    Ok(Team {
        id: row.parse("id")?,
        slug: row.text("slug")?,
        created_at: row.time("created_at")?,
        team_user: row.string_enum("team_user")?,
    })
}
