//! Users, teams, API keys and registration tokens.

use std::sync::Arc;

use hive_core::HiveApi;
use hive_core::wire::api::{ApiKeyCreate, PlatformRole, RegistrationTokenCreate, TeamCreate, TokenScope, UserCreate};

use crate::records::{ApiKey, Me, NewApiKey, NewRegistrationToken, NewUser, RegistrationToken, Team, id};
use crate::{Hive, HiveError};

#[uniffi::export]
impl Hive {
    /// Returns who the caller is.
    pub async fn me(&self) -> Result<Me, HiveError> {
        self.call(|hive| async move { Ok(hive.me().await?.into()) }).await
    }

    /// Adds a user. Their password is told here and nowhere else.
    pub async fn user_create(&self, username: String, is_admin: bool) -> Result<NewUser, HiveError> {
        let role = if is_admin { PlatformRole::GlobalAdmin } else { PlatformRole::GlobalUser };
        let create = move |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.user_create(UserCreate { username, role }).await?.into())
        };
        self.call(create).await
    }

    /// Makes a team.
    pub async fn team_create(&self, slug: String) -> Result<Team, HiveError> {
        self.call(|hive| async move { Ok(hive.team_create(TeamCreate { slug }).await?.into()) }).await
    }

    /// Lists the caller's teams; a global admin sees all.
    pub async fn team_list(&self) -> Result<Vec<Team>, HiveError> {
        self.call(|hive| async move { Ok(hive.team_list().await?.into_iter().map(Team::from).collect()) }).await
    }

    /// Makes an API key for the caller. Its secret is told here and nowhere else.
    pub async fn api_key_create(&self, name: String, expires_in_hours: Option<u32>) -> Result<NewApiKey, HiveError> {
        let create = move |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.api_key_create(ApiKeyCreate { name, expires_in_hours }).await?.into())
        };
        self.call(create).await
    }

    /// Lists the caller's API keys.
    pub async fn api_key_list(&self) -> Result<Vec<ApiKey>, HiveError> {
        self.call(|hive| async move { Ok(hive.api_key_list().await?.into_iter().map(ApiKey::from).collect()) }).await
    }

    /// Revokes one of the caller's API keys, at once.
    pub async fn api_key_revoke(&self, key: String) -> Result<(), HiveError> {
        self.call(|hive| async move { Ok(hive.api_key_revoke(id("key", &key)?).await?) }).await
    }

    /// Makes a registration token, for the whole hive or for a team.
    pub async fn registration_token_create(
        &self,
        team_id: Option<String>,
        expires_in_hours: Option<u32>,
        description: Option<String>,
    ) -> Result<NewRegistrationToken, HiveError> {
        let create = move |hive: Arc<dyn HiveApi>| async move {
            let team_id = team_id.map(|team| id("team_id", &team)).transpose()?;
            let scope = if team_id.is_some() { TokenScope::Team } else { TokenScope::Global };
            let wanted = RegistrationTokenCreate { scope, team_id, expires_in_hours, description };
            Ok(hive.registration_token_create(wanted).await?.into())
        };
        self.call(create).await
    }

    /// Lists the registration tokens the caller may make, newest first.
    pub async fn registration_token_list(&self) -> Result<Vec<RegistrationToken>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.registration_token_list().await?.into_iter().map(RegistrationToken::from).collect())
        };
        self.call(list).await
    }

    /// Revokes a registration token that was not used yet.
    pub async fn registration_token_revoke(&self, token: String) -> Result<(), HiveError> {
        self.call(|hive| async move { Ok(hive.registration_token_revoke(id("token", &token)?).await?) }).await
    }
}
