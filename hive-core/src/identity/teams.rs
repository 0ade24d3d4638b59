//! Teams, and who is in which.

use hive_wire::api::{
    AllowList, AllowListUpdate, Changed, RevokedWork, Team, TeamCreate, TeamMember, TeamMemberPut, TeamUpdate, User,
};
use hive_wire::{TeamId, UserId};
use serde_json::json;

use super::losses::{needed_roles, where_any};
use super::service::IdentityService;
use crate::access::{Permission, Principal, ResourceScope, Role, visible_scope};
use crate::allow_lists::checked;
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, record};
use crate::authorization::authorize;
use crate::store::{AllowListSubject, MemberLosses, RowRange, TeamPatch};
use crate::validate::check_known;
use crate::{Error, Result};

impl IdentityService {
    pub(super) async fn create_team(&self, principal: &Principal, team: TeamCreate) -> Result<Team> {
        let is_slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=32).contains(&team.slug.len()) || !team.slug.chars().all(is_slug) {
            return Err(Error::invalid("slug", "1 to 32 characters of a-z, 0-9 and '-'"));
        }
        let team = Team {
            id: TeamId::new(self.context.seed()),
            slug: team.slug,
            created_at: self.context.now(),
            team_user: Role::Viewer,
        };
        let subject = Subject::new(team.id).of_team(Some(team.id));
        let record = record(&self.context, principal, AuditAction::TeamCreate, subject, json!({ "slug": team.slug }));
        self.store.team_create(team.clone(), record).await?;
        Ok(team)
    }

    /// Changes a team, and ends what its users lose with that.
    pub(super) async fn update_team(
        &self,
        principal: &Principal,
        team: TeamId,
        update: TeamUpdate,
    ) -> Result<Changed<Team>> {
        let TeamUpdate { team_user } = update;
        // An admin for all who are no admins would make the two roles one.
        if team_user.as_ref().is_some_and(|role| !matches!(role, Role::Operator | Role::Viewer)) {
            return Err(Error::invalid("team_user", "must be operator or viewer"));
        }
        let subject = Subject::new(team).of_team(Some(team));
        let record =
            record(&self.context, principal, AuditAction::TeamUpdate, subject, json!({ "team_user": team_user }));
        let updated = self.store.team_update(team, TeamPatch { team_user }, needed_roles(), record).await?;
        let (team, members) = updated.ok_or_else(|| no_team(team))?;
        let mut revoked = RevokedWork::default();
        // One after the other: each is a look at that user's streams, and changes of a team are rare.
        for MemberLosses { user, losses } in members {
            revoked += self.follow_losses(user, &losses).await;
        }
        Ok(Changed { value: team, revoked: where_any(revoked) })
    }

    /// Checks that a team exists.
    pub(crate) async fn check_team(&self, team: Option<TeamId>) -> Result<()> {
        let Some(team) = team else { return Ok(()) };
        self.store.team_get(team).await?.map(drop).ok_or_else(|| no_team(team))
    }

    /// Checks that the principal manages the members of a team.
    pub(super) async fn authorize_team(&self, principal: &Principal, team: TeamId) -> Result<()> {
        // The rights first, so that a refusal does not tell whether the team exists.
        authorize(principal, &Permission::TeamsManage, ResourceScope::Team(team), || no_team(team))?;
        self.check_team(Some(team)).await
    }

    /// Sets the networks from which a team may be used.
    pub(super) async fn set_allow_list(
        &self,
        principal: &Principal,
        team: TeamId,
        update: AllowListUpdate,
    ) -> Result<AllowList> {
        let list = AllowListSubject::Team(team);
        let networks = checked(&update, principal.ip.as_deref().map(|ip| (ip, "your call")))?;
        let subject = Subject::new(team).of_team(Some(team));
        // With the list before, so that a list that was a mistake can be put back from the log.
        let details = json!({ "before": self.allow_lists().get(list).addresses, "addresses": update.addresses });
        let record = record(&self.context, principal, AuditAction::TeamAddressesSet, subject, details);
        if !self.allow_lists().set(list, networks, record).await? {
            return Err(no_team(team));
        }
        // Before the answer, as with a lost role.
        self.grants.revalidate_addresses();
        Ok(self.allow_lists().get(list))
    }

    pub(super) async fn put_member(
        &self,
        principal: &Principal,
        team: TeamId,
        member: TeamMemberPut,
    ) -> Result<Changed<TeamMember>> {
        let TeamMemberPut { username, role } = member;
        // That one follows the team, and is no role of its own.
        if role != Role::of_team_user() {
            check_known("role", &role)?;
        }
        let user = self.find_user(&username).await?;
        let subject = Subject::new(team).of_team(Some(team));
        let details = json!({ "user_id": user.id, "username": user.username, "role": role });
        let record = record(&self.context, principal, AuditAction::TeamMemberPut, subject, details);
        let losses = self.store.team_member_put(team, user.id, role.clone(), needed_roles(), record).await?;
        // A lower role ends the streams and the queued work that need more.
        let revoked = where_any(self.follow_losses(user.id, &losses).await);
        let follows_team = role == Role::of_team_user();
        // The answer has the role that holds now, as the list of members has it.
        let role = match self.store.team_get(team).await? {
            Some(team) if follows_team => team.team_user,
            _ => role,
        };
        Ok(Changed { value: TeamMember { user_id: user.id, username: user.username, role, follows_team }, revoked })
    }

    /// Makes a user a member of the team of this slug, or changes their role there.
    ///
    /// # Errors
    /// `NotFound` where there is no such team or user.
    pub(crate) async fn put_member_by_slug(
        &self,
        principal: &Principal,
        team: &str,
        username: &str,
        role: Role,
    ) -> Result<TeamMember> {
        let visible = visible_scope(principal, &Permission::SatellitesRead).teams;
        let (teams, _) = self.store.team_list(&visible, RowRange::ALL).await?;
        let found = teams.into_iter().find(|known| known.slug == team);
        let team = found.ok_or_else(|| Error::NotFound { what: "team", id: team.into() })?.id;
        self.authorize_team(principal, team).await?;
        Ok(self.put_member(principal, team, TeamMemberPut { username: username.into(), role }).await?.value)
    }

    pub(super) async fn remove_member(&self, principal: &Principal, team: TeamId, user: UserId) -> Result<RevokedWork> {
        let subject = Subject::new(team).of_team(Some(team));
        let record =
            record(&self.context, principal, AuditAction::TeamMemberRemove, subject, json!({ "user_id": user }));
        // The user may be gone from the team already; what was lost is then empty.
        let losses = self.store.team_member_remove(team, user, needed_roles(), record).await?;
        let revoked = self.follow_losses(user, &losses.clone().unwrap_or_default()).await;
        losses.map(|_| revoked).ok_or_else(|| Error::NotFound { what: "team member", id: user.to_string() })
    }

    /// Finds a user by name.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub(crate) async fn find_user(&self, username: &str) -> Result<User> {
        let row = self.store.user_find(username).await?;
        row.map(|row| row.user).ok_or_else(|| Error::NotFound { what: "user", id: username.into() })
    }
}

fn no_team(team: TeamId) -> Error {
    Error::NotFound { what: "team", id: team.to_string() }
}
