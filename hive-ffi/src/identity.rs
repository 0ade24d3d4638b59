//! Users and teams.

use std::sync::Arc;

use hive_core::HiveApi;
use hive_core::lists::collect;
use hive_core::wire::api::{PasswordChange, PlatformRole, Role, TeamCreate, TeamMemberPut, UserCreate, UserUpdate};
use hive_core::wire::credential;
use hive_core::wire::{TeamId, UserId};

use crate::records::{Me, NewUser, Secret, Team, TeamMember, User, parse_enum};
use crate::{Hive, HiveError};

#[uniffi::export]
impl Hive {
    /// Returns who the caller is.
    pub async fn me(&self) -> Result<Me, HiveError> {
        self.call(|hive| async move { Ok(hive.identity().me().await?.into()) }).await
    }

    /// Changes the caller's password. All logins end, the caller's own too; API keys stay.
    pub async fn password_change(&self, current: String, new: String) -> Result<(), HiveError> {
        let change = PasswordChange { current: credential::Secret(current), new: credential::Secret(new) };
        self.call(|hive| async move { Ok(hive.identity().password_change(change).await?) }).await
    }

    /// Adds a user. This is the only time that their password is shown.
    pub async fn user_create(&self, username: String, is_admin: bool) -> Result<NewUser, HiveError> {
        let request = UserCreate { username, role: platform_role(is_admin) };
        self.call(|hive| async move { Ok(hive.identity().user_create(request).await?.into()) }).await
    }

    /// Lists users by name.
    pub async fn user_list(&self) -> Result<Vec<User>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            let identity = hive.identity();
            Ok(collect(usize::MAX, None, |page| identity.user_list(page)).await?.into_iter().map(User::from).collect())
        };
        self.call(list).await
    }

    /// Changes a user, named by their id or login name. A disabled user loses all logins and API keys.
    pub async fn user_update(
        &self,
        user: String,
        is_admin: Option<bool>,
        disabled: Option<bool>,
    ) -> Result<User, HiveError> {
        let change = move |hive: Arc<dyn HiveApi>| async move {
            let id = find_user(hive.as_ref(), &user).await?;
            Ok(hive
                .identity()
                .user_update(id, UserUpdate { role: is_admin.map(platform_role), disabled })
                .await?
                .value
                .into())
        };
        self.call(change).await
    }

    /// Gives a user a random password. This is the only time that it is shown. All their logins end; API keys stay.
    pub async fn user_password_reset(&self, user: String) -> Result<Secret, HiveError> {
        let reset = |hive: Arc<dyn HiveApi>| async move {
            let id = find_user(hive.as_ref(), &user).await?;
            Ok(Secret(hive.identity().user_password_reset(id).await?.password.0))
        };
        self.call(reset).await
    }

    /// Lists the members of a team, named by its id or slug, by name.
    pub async fn team_member_list(&self, team: String) -> Result<Vec<TeamMember>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            let team = find_team(hive.as_ref(), &team).await?;
            Ok(hive.identity().team_member_list(team).await?.into_iter().map(TeamMember::from).collect())
        };
        self.call(list).await
    }

    /// Makes a user a member of a team, or changes their role: `viewer`, `operator` or `admin`.
    pub async fn team_member_put(&self, team: String, username: String, role: String) -> Result<TeamMember, HiveError> {
        let put = |hive: Arc<dyn HiveApi>| async move {
            let role: Role = parse_enum("role", &role, "one of viewer, operator, admin")?;
            let team = find_team(hive.as_ref(), &team).await?;
            Ok(hive.identity().team_member_put(team, TeamMemberPut { username, role }).await?.value.into())
        };
        self.call(put).await
    }

    /// Removes a user, named by their id or login name, from a team.
    pub async fn team_member_remove(&self, team: String, user: String) -> Result<(), HiveError> {
        let remove = |hive: Arc<dyn HiveApi>| async move {
            let team = find_team(hive.as_ref(), &team).await?;
            // Only admins may list users. The list of members also finds a name.
            let members = hive.identity().team_member_list(team).await?;
            let member = members.iter().find(|member| member.username == user || member.user_id.to_string() == user);
            let member = member.ok_or_else(|| missing("user", &user))?;
            Ok(hive.identity().team_member_remove(team, member.user_id).await.map(drop)?)
        };
        self.call(remove).await
    }

    /// Makes a team.
    pub async fn team_create(&self, slug: String) -> Result<Team, HiveError> {
        self.call(|hive| async move { Ok(hive.identity().team_create(TeamCreate { slug }).await?.into()) }).await
    }

    /// Lists the caller's teams; a global admin sees all.
    pub async fn team_list(&self) -> Result<Vec<Team>, HiveError> {
        self.call(|hive| async move { Ok(hive.identity().team_list().await?.into_iter().map(Team::from).collect()) })
            .await
    }
}

fn platform_role(is_admin: bool) -> PlatformRole {
    if is_admin { PlatformRole::GlobalAdmin } else { PlatformRole::GlobalUser }
}

async fn find_user(hive: &dyn HiveApi, id_or_name: &str) -> Result<UserId, HiveError> {
    if let Ok(id) = id_or_name.parse() {
        return Ok(id);
    }
    // There is no lookup by login name.
    let identity = hive.identity();
    let users = collect(usize::MAX, None, |page| identity.user_list(page)).await?;
    Ok(users.into_iter().find(|user| user.username == id_or_name).ok_or_else(|| missing("user", id_or_name))?.id)
}

async fn find_team(hive: &dyn HiveApi, id_or_slug: &str) -> Result<TeamId, HiveError> {
    if let Ok(id) = id_or_slug.parse() {
        return Ok(id);
    }
    let teams = hive.identity().team_list().await?;
    Ok(teams.into_iter().find(|team| team.slug == id_or_slug).ok_or_else(|| missing("team", id_or_slug))?.id)
}

fn missing(what: &'static str, id: &str) -> hive_core::Error {
    hive_core::Error::NotFound { what, id: id.to_owned() }
}
