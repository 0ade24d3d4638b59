//! Teams and their members in an SQL database.

use async_trait::async_trait;
use hive_wire::api::{Team, TeamMember};
use hive_wire::{TeamId, UserId};

use super::{Row, SqlStore, Statement, statements};
use crate::access::Role;
use crate::audit::AuditDraft;
use crate::{StoreResult, TeamStore};

#[async_trait]
impl TeamStore for SqlStore {
    async fn team_create(&self, team: Team, audit: AuditDraft) -> StoreResult<()> {
        let statement = Statement::new(statements::TEAM_INSERT).text(team.id).bind(team.slug).time(team.created_at);
        self.add(statement, "slug", audit).await
    }

    async fn team_get(&self, id: TeamId) -> StoreResult<Option<Team>> {
        let row = self.fetch_optional(Statement::new(statements::TEAM_GET).text(id)).await?;
        row.as_ref().map(read_team).transpose()
    }

    async fn team_list(&self) -> StoreResult<Vec<Team>> {
        let rows = self.fetch_all(Statement::new(statements::TEAM_LIST)).await?;
        rows.iter().map(read_team).collect()
    }

    async fn team_member_put(&self, team: TeamId, user: UserId, role: Role, audit: AuditDraft) -> StoreResult<()> {
        self.add(Statement::new(statements::TEAM_MEMBER_PUT).text(team).text(user).string_enum(role), "member", audit)
            .await
    }

    async fn team_member_remove(&self, team: TeamId, user: UserId, audit: AuditDraft) -> StoreResult<bool> {
        self.execute_audited(Statement::new(statements::TEAM_MEMBER_REMOVE).text(team).text(user), audit).await
    }

    async fn team_member_list(&self, team: TeamId) -> StoreResult<Vec<TeamMember>> {
        let rows = self.fetch_all(Statement::new(statements::TEAM_MEMBER_LIST).text(team)).await?;
        rows.iter()
            .map(|row| {
                Ok(TeamMember {
                    user_id: row.parse("user_id")?,
                    username: row.text("username")?,
                    role: row.string_enum("role")?,
                })
            })
            .collect()
    }

    async fn team_memberships(&self, user: UserId) -> StoreResult<Vec<(TeamId, Role)>> {
        let rows = self.fetch_all(Statement::new(statements::TEAM_MEMBERSHIPS).text(user)).await?;
        rows.iter().map(|row| Ok((row.parse("team_id")?, row.string_enum("role")?))).collect()
    }
}

fn read_team(row: &Row) -> StoreResult<Team> {
    Ok(Team { id: row.parse("id")?, slug: row.text("slug")?, created_at: row.time("created_at")? })
}
