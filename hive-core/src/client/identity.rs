//! [`Identity`] over REST.

use async_trait::async_trait;
use hive_wire::api::{
    ApiKeyCreate, ApiKeyInfo, Me, NewApiKey, NewRegistrationToken, RegistrationTokenCreate, RegistrationTokenInfo,
    Team, TeamCreate,
};
use hive_wire::{ApiKeyId, RegistrationTokenId};
use reqwest::Method;

use super::RemoteHive;
use crate::{Identity, Result};

const ME: [&str; 4] = ["api", "v1", "auth", "me"];
const TEAMS: [&str; 3] = ["api", "v1", "teams"];
const API_KEYS: [&str; 3] = ["api", "v1", "api-keys"];
const TOKENS: [&str; 3] = ["api", "v1", "registration-tokens"];

#[async_trait]
impl Identity for RemoteHive {
    async fn me(&self) -> Result<Me> {
        self.transport.fetch(self.transport.get(&ME)).await
    }

    async fn team_create(&self, team: TeamCreate) -> Result<Team> {
        self.transport.fetch(self.transport.post(&TEAMS).json(&team)).await
    }

    async fn team_list(&self) -> Result<Vec<Team>> {
        self.transport.fetch(self.transport.get(&TEAMS)).await
    }

    async fn api_key_create(&self, key: ApiKeyCreate) -> Result<NewApiKey> {
        self.transport.fetch(self.transport.post(&API_KEYS).json(&key)).await
    }

    async fn api_key_list(&self) -> Result<Vec<ApiKeyInfo>> {
        self.transport.fetch(self.transport.get(&API_KEYS)).await
    }

    async fn api_key_revoke(&self, id: ApiKeyId) -> Result<()> {
        self.delete(API_KEYS, &id.to_string()).await
    }

    async fn registration_token_create(&self, token: RegistrationTokenCreate) -> Result<NewRegistrationToken> {
        self.transport.fetch(self.transport.post(&TOKENS).json(&token)).await
    }

    async fn registration_token_list(&self) -> Result<Vec<RegistrationTokenInfo>> {
        self.transport.fetch(self.transport.get(&TOKENS)).await
    }

    async fn registration_token_revoke(&self, id: RegistrationTokenId) -> Result<()> {
        self.delete(TOKENS, &id.to_string()).await
    }
}

impl RemoteHive {
    async fn delete(&self, path: [&str; 3], id: &str) -> Result<()> {
        let [api, version, things] = path;
        let call = self.transport.request(Method::DELETE, &[api, version, things, id]);
        self.transport.call(call).await
    }
}
