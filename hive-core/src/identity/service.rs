//! `Identity` in this process: users, teams, API keys and registration tokens.

use std::sync::Arc;

use async_trait::async_trait;
use hive_wire::api::{
    AllowList, AllowListUpdate, ApiKeyCreate, ApiKeyFilter, ApiKeyInfo, ApiKeyRotate, ApiKeySort, Changed, Me,
    NewApiKey, NewPassword, NewRegistrationToken, NewUser, Page, PageRequest, PasswordChange, RegistrationTokenCreate,
    RegistrationTokenInfo, RegistrationTokenSort, RevokedWork, Team, TeamCreate, TeamMember, TeamMemberPut,
    TeamMemberSort, TeamSort, TeamUpdate, User, UserCreate, UserSort, UserUpdate,
};
use hive_wire::{ApiKeyId, RegistrationTokenId, TeamId, UserId};

use super::api_keys::authorize_any_key;
use super::auth_failures::AuthFailures;
use super::configured_key::ConfiguredKey;
use super::key_ancestors::KeyAncestors;
use super::key_uses::KeyUses;
use super::losses::IdentityObserver;
use super::users::no_user;
use super::verifier::CredentialVerifier;
use crate::access::{Credential, Permission, Principal, ResourceScope, visible_scope};
use crate::allow_lists::AllowLists;
use crate::authorization::authorize_action;
use crate::context::ServiceContext;
use crate::grants::AccessGrants;
use crate::handle::ServiceHandle;
use crate::identity::Identity;
use crate::keys::Keys;
use crate::lists::listing::Listing;
use crate::observers::Observers;
use crate::store::{AllowListSubject, AuditStore, IdentityStore, RegistrationTokenStore, SatelliteStore, Store};
use crate::{Error, Result};

/// The users, teams and credentials of a hive.
pub(crate) struct IdentityService {
    pub(super) store: Arc<dyn IdentityStore>,
    pub(super) token_store: Arc<dyn RegistrationTokenStore>,
    pub(super) satellite_store: Arc<dyn SatelliteStore>,
    pub(super) audit: Arc<dyn AuditStore>,
    pub(super) keys: Arc<Keys>,
    pub(super) grants: Arc<AccessGrants>,
    allow_lists: Arc<AllowLists>,
    pub(super) auth_failures: Arc<AuthFailures>,
    pub(super) verifier: CredentialVerifier,
    pub(super) key_uses: KeyUses,
    pub(super) key_ancestors: KeyAncestors,
    pub(super) configured_key: Option<ConfiguredKey>,
    pub(super) observers: Observers<dyn IdentityObserver>,
    pub(super) context: ServiceContext,
}

impl IdentityService {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        keys: Arc<Keys>,
        grants: Arc<AccessGrants>,
        allow_lists: Arc<AllowLists>,
        auth_failures: Arc<AuthFailures>,
        configured_key: Option<ConfiguredKey>,
        context: ServiceContext,
    ) -> Self {
        Self {
            store: store.clone(),
            token_store: store.clone(),
            satellite_store: store.clone(),
            audit: store.clone(),
            keys,
            grants,
            allow_lists,
            auth_failures,
            verifier: CredentialVerifier::default(),
            key_uses: KeyUses::default(),
            key_ancestors: KeyAncestors::default(),
            configured_key,
            observers: Observers::default(),
            context,
        }
    }

    pub(crate) fn allow_lists(&self) -> &AllowLists {
        &self.allow_lists
    }

    /// Ends what callers do by a team that they may not use from their address any more.
    pub(crate) fn revalidate_addresses(&self) {
        self.grants.revalidate_addresses();
    }

    pub(crate) fn verifier(&self) -> &CredentialVerifier {
        &self.verifier
    }

    pub(crate) fn auth_failures(&self) -> &AuthFailures {
        &self.auth_failures
    }
}

#[async_trait]
impl Identity for ServiceHandle<IdentityService> {
    async fn me(&self) -> Result<Me> {
        // From the store and not from the principal, whose name and role are those of its authentication.
        let user = self.service.store.user_get(self.user()?).await?.ok_or(Error::AuthInvalid)?.user;
        let api_key_id = match self.principal.credential {
            Credential::ApiKey(key, _) => Some(key),
            _ => None,
        };
        Ok(Me { user, api_key_id })
    }

    async fn password_change(&self, change: PasswordChange) -> Result<()> {
        self.service.change_password(&self.principal, self.user()?, change).await
    }

    async fn user_create(&self, user: UserCreate) -> Result<NewUser> {
        authorize_action(&self.principal, &Permission::UsersManage, ResourceScope::Platform)?;
        self.service.create_user(&self.principal, user).await
    }

    async fn user_list(&self, page: PageRequest<UserSort>) -> Result<Page<User>> {
        let listing = Listing::of_rows(&"users", page)?;
        authorize_action(&self.principal, &Permission::UsersManage, ResourceScope::Platform)?;
        let rows = self.service.store.user_list(listing.range()).await?;
        Ok(listing.answer(rows, |user| user))
    }

    async fn user_get(&self, id: UserId) -> Result<Option<User>> {
        Ok(self.service.user_for(&self.principal, id).await?.map(|row| row.user))
    }

    async fn user_update(&self, id: UserId, update: UserUpdate) -> Result<Changed<User>> {
        let user = self.service.user_for(&self.principal, id).await?.ok_or_else(|| no_user(id))?.user;
        self.service.update_user(&self.principal, &user, update).await
    }

    async fn user_password_reset(&self, id: UserId) -> Result<NewPassword> {
        let user = self.service.user_for(&self.principal, id).await?.ok_or_else(|| no_user(id))?.user;
        self.service.reset_password(&self.principal, &user).await
    }

    async fn team_create(&self, team: TeamCreate) -> Result<Team> {
        authorize_action(&self.principal, &Permission::TeamsManage, ResourceScope::Platform)?;
        self.service.create_team(&self.principal, team).await
    }

    async fn team_page(&self, page: PageRequest<TeamSort>) -> Result<Page<Team>> {
        let listing = Listing::of_rows(&"teams", page)?;
        // The teams of which the principal may see the satellites.
        let visible = visible_scope(&self.principal, &Permission::SatellitesRead).teams;
        let rows = self.service.store.team_list(&visible, listing.range()).await?;
        Ok(listing.answer(rows, |team| team))
    }

    async fn team_member_page(&self, team: TeamId, page: PageRequest<TeamMemberSort>) -> Result<Page<TeamMember>> {
        let listing = Listing::of_rows(&("members of a team", team), page)?;
        self.service.authorize_team(&self.principal, team).await?;
        let rows = self.service.store.team_member_list(team, listing.range()).await?;
        Ok(listing.answer(rows, |member| member))
    }

    async fn team_member_put(&self, team: TeamId, member: TeamMemberPut) -> Result<Changed<TeamMember>> {
        self.service.authorize_team(&self.principal, team).await?;
        self.service.put_member(&self.principal, team, member).await
    }

    async fn team_member_remove(&self, team: TeamId, user: UserId) -> Result<RevokedWork> {
        self.service.authorize_team(&self.principal, team).await?;
        self.service.remove_member(&self.principal, team, user).await
    }

    async fn team_update(&self, team: TeamId, update: TeamUpdate) -> Result<Changed<Team>> {
        self.service.authorize_team(&self.principal, team).await?;
        self.service.update_team(&self.principal, team, update).await
    }

    async fn team_allow_list(&self, team: TeamId) -> Result<AllowList> {
        self.service.authorize_team(&self.principal, team).await?;
        Ok(self.service.allow_lists().get(AllowListSubject::Team(team)))
    }

    async fn team_allow_list_set(&self, team: TeamId, update: AllowListUpdate) -> Result<AllowList> {
        self.service.authorize_team(&self.principal, team).await?;
        self.service.set_allow_list(&self.principal, team, update).await
    }

    async fn api_key_create(&self, key: ApiKeyCreate) -> Result<NewApiKey> {
        authorize_action(&self.principal, &Permission::ApiKeysOwn, ResourceScope::Own)?;
        self.service.create_api_key(&self.principal, self.user()?, key).await
    }

    async fn api_key_page(&self, filter: ApiKeyFilter, page: PageRequest<ApiKeySort>) -> Result<Page<ApiKeyInfo>> {
        let listing = Listing::of_rows(&("API keys", &filter), page)?;
        let user = self.key_owner(filter.user_id).await?;
        let rows = self.service.store.api_key_list(user, listing.range()).await?;
        Ok(listing.answer(rows, |row| self.service.key_info(row)))
    }

    async fn api_key_rotate(&self, id: ApiKeyId, rotate: ApiKeyRotate) -> Result<NewApiKey> {
        authorize_action(&self.principal, &Permission::ApiKeysOwn, ResourceScope::Own)?;
        self.service.rotate_api_key(&self.principal, self.user()?, id, rotate).await
    }

    async fn api_key_revoke(&self, id: ApiKeyId) -> Result<RevokedWork> {
        self.service.revoke_api_key(&self.principal, id).await
    }

    async fn registration_token_create(&self, token: RegistrationTokenCreate) -> Result<NewRegistrationToken> {
        self.service.create_registration_token(&self.principal, token).await
    }

    async fn registration_token_page(
        &self,
        page: PageRequest<RegistrationTokenSort>,
    ) -> Result<Page<RegistrationTokenInfo>> {
        let listing = Listing::of_rows(&"registration tokens", page)?;
        let rows = self.service.list_registration_tokens(&self.principal, listing.range()).await?;
        Ok(listing.answer(rows, |token| token))
    }

    async fn registration_token_revoke(&self, id: RegistrationTokenId) -> Result<()> {
        self.service.revoke_registration_token(&self.principal, id).await
    }
}

impl ServiceHandle<IdentityService> {
    /// Returns the user whose keys are listed: the one who acts, or another one for those who may list any.
    async fn key_owner(&self, user: Option<UserId>) -> Result<UserId> {
        let may_any = authorize_any_key(&self.principal);
        match user {
            // One's own keys need no more than without the filter.
            Some(user) if self.principal.user() != Some(user) || may_any.is_ok() => {
                may_any?;
                Ok(self.service.store.user_get(user).await?.ok_or_else(|| no_user(user))?.user.id)
            }
            _ => {
                authorize_action(&self.principal, &Permission::ApiKeysOwn, ResourceScope::Own)?;
                self.user()
            }
        }
    }

    /// Returns the user who acts, also by an API key.
    fn user(&self) -> Result<UserId> {
        user_of(&self.principal)
    }
}

fn user_of(principal: &Principal) -> Result<UserId> {
    principal.user().ok_or_else(|| Error::Forbidden("the hive itself is no user".into()))
}
