//! Users, teams, API keys and registration tokens.

use async_trait::async_trait;
use hive_wire::api::{
    ApiKeyCreate, ApiKeyInfo, Me, NewApiKey, NewRegistrationToken, RegistrationTokenCreate, RegistrationTokenInfo,
    Team, TeamCreate,
};
use hive_wire::{ApiKeyId, RegistrationTokenId};

use crate::Result;

/// Who there is, and with what they prove it.
#[async_trait]
pub trait Identity: Send + Sync {
    /// Returns who the caller is.
    async fn me(&self) -> Result<Me>;

    /// Makes a team.
    async fn team_create(&self, team: TeamCreate) -> Result<Team>;
    /// Lists the caller's teams; a global admin sees all.
    async fn team_list(&self) -> Result<Vec<Team>>;

    /// Makes an API key for the caller. Its secret is in the answer and nowhere else.
    async fn api_key_create(&self, key: ApiKeyCreate) -> Result<NewApiKey>;
    /// Lists the caller's API keys.
    async fn api_key_list(&self) -> Result<Vec<ApiKeyInfo>>;
    /// Revokes one of the caller's API keys, at once.
    async fn api_key_revoke(&self, id: ApiKeyId) -> Result<()>;

    /// Makes a registration token: global ones by global admins, a team's by its admins.
    async fn registration_token_create(&self, token: RegistrationTokenCreate) -> Result<NewRegistrationToken>;
    /// Lists the registration tokens the caller may make, newest first.
    async fn registration_token_list(&self) -> Result<Vec<RegistrationTokenInfo>>;
    /// Revokes a registration token that was not used yet.
    async fn registration_token_revoke(&self, id: RegistrationTokenId) -> Result<()>;
}
