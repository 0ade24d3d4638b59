//! Users, teams, API keys and registration tokens.

use std::sync::Arc;

use hive_core::HiveApi;
use hive_core::wire::api::{
    ApiKeyCreate, PasswordChange, PlatformRole, RegistrationTokenCreate, Role, TeamCreate, TeamMemberPut, TokenScope,
    UserCreate, UserUpdate,
};
use hive_core::wire::credential::Secret;
use hive_core::wire::{TeamId, UserId};

use crate::lookup::every_page;
use crate::records::{
    ApiKey, Me, NewApiKey, NewRegistrationToken, NewUser, RegistrationToken, Team, TeamMember, User, parse_enum,
    parse_id,
};
use crate::{Hive, HiveError};

#[uniffi::export]
impl Hive {
    /// Returns who the caller is.
    pub async fn me(&self) -> Result<Me, HiveError> {
        self.call(|hive| async move { Ok(hive.identity().me().await?.into()) }).await
    }

    /// Gives the caller another password. All logins end, the caller's own too; API keys stay.
    pub async fn password_change(&self, current: String, new: String) -> Result<(), HiveError> {
        let change = PasswordChange { current: Secret(current), new: Secret(new) };
        self.call(|hive| async move { Ok(hive.identity().password_change(change).await?) }).await
    }

    /// Adds a user. Their password is told here and nowhere else.
    pub async fn user_create(&self, username: String, is_admin: bool) -> Result<NewUser, HiveError> {
        let request = UserCreate { username, role: platform_role(is_admin) };
        self.call(|hive| async move { Ok(hive.identity().user_create(request).await?.into()) }).await
    }

    /// Lists users by name.
    pub async fn user_list(&self) -> Result<Vec<User>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            let identity = hive.identity();
            Ok(every_page(|page| identity.user_list(page)).await?.into_iter().map(User::from).collect())
        };
        self.call(list).await
    }

    /// Changes a user, named by their id or login name. Who is disabled loses all logins, and their API keys are refused
    /// until they are enabled again.
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
                .into())
        };
        self.call(change).await
    }

    /// Gives a user a random password, and returns it: it is told nowhere else. All their logins end; API keys stay.
    pub async fn user_password_reset(&self, user: String) -> Result<String, HiveError> {
        let reset = |hive: Arc<dyn HiveApi>| async move {
            let id = find_user(hive.as_ref(), &user).await?;
            Ok(hive.identity().user_password_reset(id).await?.password.0)
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

    /// Makes a user a member of a team, or changes what they are there: `viewer`, `operator` or `admin`.
    pub async fn team_member_put(&self, team: String, username: String, role: String) -> Result<TeamMember, HiveError> {
        let put = |hive: Arc<dyn HiveApi>| async move {
            let role: Role = parse_enum("role", &role, "one of viewer, operator, admin")?;
            let team = find_team(hive.as_ref(), &team).await?;
            Ok(hive.identity().team_member_put(team, TeamMemberPut { username, role }).await?.into())
        };
        self.call(put).await
    }

    /// Takes a user, named by their id or login name, out of a team.
    pub async fn team_member_remove(&self, team: String, user: String) -> Result<(), HiveError> {
        let remove = |hive: Arc<dyn HiveApi>| async move {
            let team = find_team(hive.as_ref(), &team).await?;
            let members = hive.identity().team_member_list(team).await?;
            let member = members.iter().find(|member| member.username == user || member.user_id.to_string() == user);
            let member = member.ok_or_else(|| missing("user", &user))?;
            Ok(hive.identity().team_member_remove(team, member.user_id).await?)
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

    /// Makes an API key for the caller. Its secret is told here and nowhere else.
    pub async fn api_key_create(&self, name: String, expires_in_hours: Option<u32>) -> Result<NewApiKey, HiveError> {
        let create = move |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.identity().api_key_create(ApiKeyCreate { name, expires_in_hours }).await?.into())
        };
        self.call(create).await
    }

    /// Lists the caller's API keys.
    pub async fn api_key_list(&self) -> Result<Vec<ApiKey>, HiveError> {
        self.call(
            |hive| async move { Ok(hive.identity().api_key_list().await?.into_iter().map(ApiKey::from).collect()) },
        )
        .await
    }

    /// Gives one of the caller's API keys another secret. The one before is dead at once.
    pub async fn api_key_rotate(&self, key: String) -> Result<NewApiKey, HiveError> {
        self.call(|hive| async move { Ok(hive.identity().api_key_rotate(parse_id("key", &key)?).await?.into()) }).await
    }

    /// Revokes one of the caller's API keys, at once.
    pub async fn api_key_revoke(&self, key: String) -> Result<(), HiveError> {
        self.call(|hive| async move { Ok(hive.identity().api_key_revoke(parse_id("key", &key)?).await?) }).await
    }

    /// Makes a registration token, for the whole hive or for a team.
    pub async fn registration_token_create(
        &self,
        team_id: Option<String>,
        expires_in_hours: Option<u32>,
        description: Option<String>,
    ) -> Result<NewRegistrationToken, HiveError> {
        let create = move |hive: Arc<dyn HiveApi>| async move {
            let team_id = team_id.map(|team| parse_id("team_id", &team)).transpose()?;
            let scope = if team_id.is_some() { TokenScope::Team } else { TokenScope::Global };
            let request = RegistrationTokenCreate {
                scope,
                team_id,
                expires_in_hours,
                description,
                ..RegistrationTokenCreate::global()
            };
            Ok(hive.identity().registration_token_create(request).await?.into())
        };
        self.call(create).await
    }

    /// Lists the registration tokens the caller may make, newest first.
    pub async fn registration_token_list(&self) -> Result<Vec<RegistrationToken>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.identity().registration_token_list().await?.into_iter().map(RegistrationToken::from).collect())
        };
        self.call(list).await
    }

    /// Revokes a registration token that was not used yet.
    pub async fn registration_token_revoke(&self, token: String) -> Result<(), HiveError> {
        self.call(
            |hive| async move { Ok(hive.identity().registration_token_revoke(parse_id("token", &token)?).await?) },
        )
        .await
    }
}

fn platform_role(is_admin: bool) -> PlatformRole {
    if is_admin { PlatformRole::GlobalAdmin } else { PlatformRole::GlobalUser }
}

async fn find_user(hive: &dyn HiveApi, word: &str) -> Result<UserId, HiveError> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let identity = hive.identity();
    let users = every_page(|page| identity.user_list(page)).await?;
    Ok(users.into_iter().find(|user| user.username == word).ok_or_else(|| missing("user", word))?.id)
}

async fn find_team(hive: &dyn HiveApi, word: &str) -> Result<TeamId, HiveError> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let teams = hive.identity().team_list().await?;
    Ok(teams.into_iter().find(|team| team.slug == word).ok_or_else(|| missing("team", word))?.id)
}

fn missing(what: &'static str, id: &str) -> hive_core::Error {
    hive_core::Error::NotFound { what, id: id.to_owned() }
}
