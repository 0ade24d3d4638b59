//! [`Identity`] over REST.

use async_trait::async_trait;
use hive_wire::api::{
    AllowList, AllowListUpdate, ApiKeyCreate, ApiKeyFilter, ApiKeyInfo, ApiKeyRotate, ApiKeySort, Changed, Me,
    NewApiKey, NewPassword, NewRegistrationToken, NewUser, Page, PageRequest, PasswordChange, RegistrationTokenCreate,
    RegistrationTokenInfo, RegistrationTokenSort, RevokedWork, Team, TeamCreate, TeamMember, TeamMemberPut,
    TeamMemberSort, TeamSort, TeamUpdate, User, UserCreate, UserSort, UserUpdate,
};
use hive_wire::{ApiKeyId, RegistrationTokenId, TeamId, UserId};
use reqwest::Method;

use super::Client;
use super::registry::present;
use super::transport::with_query;
use crate::{Identity, Result};

const ME: [&str; 4] = ["api", "v1", "auth", "me"];
const PASSWORD: [&str; 4] = ["api", "v1", "auth", "password"];
const USERS: [&str; 3] = ["api", "v1", "users"];
const TEAMS: [&str; 3] = ["api", "v1", "teams"];
const API_KEYS: [&str; 3] = ["api", "v1", "api-keys"];
const TOKENS: [&str; 3] = ["api", "v1", "registration-tokens"];

#[async_trait]
impl Identity for Client {
    async fn me(&self) -> Result<Me> {
        self.transport.fetch(self.transport.get(&ME)).await
    }

    async fn password_change(&self, change: PasswordChange) -> Result<()> {
        self.transport.call(self.transport.post(&PASSWORD).json(&change)).await
    }

    async fn user_create(&self, user: UserCreate) -> Result<NewUser> {
        self.transport.fetch(self.transport.post(&USERS).json(&user)).await
    }

    async fn user_list(&self, page: PageRequest<UserSort>) -> Result<Page<User>> {
        self.transport.fetch_page(with_query(self.transport.get(&USERS), &page)?).await
    }

    async fn user_get(&self, id: UserId) -> Result<Option<User>> {
        present(self.transport.fetch(self.transport.get(&["api", "v1", "users", &id.to_string()])).await)
    }

    async fn user_update(&self, id: UserId, update: UserUpdate) -> Result<Changed<User>> {
        let path = ["api", "v1", "users", &id.to_string()];
        self.transport.fetch(self.transport.request(Method::PUT, &path).json(&update)).await
    }

    async fn user_password_reset(&self, id: UserId) -> Result<NewPassword> {
        self.transport.fetch(self.transport.post(&["api", "v1", "users", &id.to_string(), "password"])).await
    }

    async fn team_create(&self, team: TeamCreate) -> Result<Team> {
        self.transport.fetch(self.transport.post(&TEAMS).json(&team)).await
    }

    async fn team_page(&self, page: PageRequest<TeamSort>) -> Result<Page<Team>> {
        self.transport.fetch_page(with_query(self.transport.get(&TEAMS), &page)?).await
    }

    async fn team_member_page(&self, team: TeamId, page: PageRequest<TeamMemberSort>) -> Result<Page<TeamMember>> {
        let call = self.transport.get(&["api", "v1", "teams", &team.to_string(), "members"]);
        self.transport.fetch_page(with_query(call, &page)?).await
    }

    async fn team_member_put(&self, team: TeamId, member: TeamMemberPut) -> Result<Changed<TeamMember>> {
        let path = ["api", "v1", "teams", &team.to_string(), "members"];
        self.transport.fetch(self.transport.request(Method::PUT, &path).json(&member)).await
    }

    async fn team_member_remove(&self, team: TeamId, user: UserId) -> Result<RevokedWork> {
        let path = ["api", "v1", "teams", &team.to_string(), "members", &user.to_string()];
        self.transport.fetch(self.transport.request(Method::DELETE, &path)).await
    }

    async fn team_update(&self, team: TeamId, update: TeamUpdate) -> Result<Changed<Team>> {
        let path = ["api", "v1", "teams", &team.to_string()];
        self.transport.fetch(self.transport.request(Method::PUT, &path).json(&update)).await
    }

    async fn team_allow_list(&self, team: TeamId) -> Result<AllowList> {
        self.transport.fetch(self.transport.get(&["api", "v1", "teams", &team.to_string(), "addresses"])).await
    }

    async fn team_allow_list_set(&self, team: TeamId, update: AllowListUpdate) -> Result<AllowList> {
        let path = ["api", "v1", "teams", &team.to_string(), "addresses"];
        self.transport.fetch(self.transport.request(Method::PUT, &path).json(&update)).await
    }

    async fn api_key_create(&self, key: ApiKeyCreate) -> Result<NewApiKey> {
        self.transport.fetch(self.transport.post(&API_KEYS).json(&key)).await
    }

    async fn api_key_page(&self, filter: ApiKeyFilter, page: PageRequest<ApiKeySort>) -> Result<Page<ApiKeyInfo>> {
        let call = with_query(self.transport.get(&API_KEYS), &filter)?;
        self.transport.fetch_page(with_query(call, &page)?).await
    }

    async fn api_key_rotate(&self, id: ApiKeyId, rotate: ApiKeyRotate) -> Result<NewApiKey> {
        let path = ["api", "v1", "api-keys", &id.to_string(), "rotate"];
        self.transport.fetch(self.transport.post(&path).json(&rotate)).await
    }

    async fn api_key_revoke(&self, id: ApiKeyId) -> Result<RevokedWork> {
        let path = ["api", "v1", "api-keys", &id.to_string()];
        self.transport.fetch(self.transport.request(Method::DELETE, &path)).await
    }

    async fn registration_token_create(&self, token: RegistrationTokenCreate) -> Result<NewRegistrationToken> {
        self.transport.fetch(self.transport.post(&TOKENS).json(&token)).await
    }

    async fn registration_token_page(
        &self,
        page: PageRequest<RegistrationTokenSort>,
    ) -> Result<Page<RegistrationTokenInfo>> {
        self.transport.fetch_page(with_query(self.transport.get(&TOKENS), &page)?).await
    }

    async fn registration_token_revoke(&self, id: RegistrationTokenId) -> Result<()> {
        self.delete(TOKENS, &id.to_string()).await
    }
}

impl Client {
    async fn delete(&self, path: [&str; 3], id: &str) -> Result<()> {
        let [api, version, things] = path;
        let call = self.transport.request(Method::DELETE, &[api, version, things, id]);
        self.transport.call(call).await
    }
}
