//! Users, teams, API keys and registration tokens.

mod api_keys;
pub(crate) mod auth_failures;
pub(crate) mod authentication;
pub(crate) mod configured_key;
pub(crate) mod jwt;
mod key_ancestors;
mod key_hash;
mod key_limits;
pub(crate) mod key_uses;
pub(crate) mod losses;
mod passwords;
mod registration_tokens;
pub(crate) mod service;
mod teams;
mod users;
pub(crate) mod verifier;

use async_trait::async_trait;
use hive_wire::api::{
    AllowList, AllowListUpdate, ApiKeyCreate, ApiKeyFilter, ApiKeyInfo, ApiKeyRotate, ApiKeySort, Changed, Me,
    NewApiKey, NewPassword, NewRegistrationToken, NewUser, Page, PageRequest, PasswordChange, RegistrationTokenCreate,
    RegistrationTokenInfo, RegistrationTokenSort, RevokedWork, Team, TeamCreate, TeamMember, TeamMemberPut,
    TeamMemberSort, TeamSort, TeamUpdate, User, UserCreate, UserSort, UserUpdate,
};
use hive_wire::{ApiKeyId, RegistrationTokenId, TeamId, UserId};

use crate::Result;
use crate::lists::collect;

/// Manages users, teams and their credentials.
#[async_trait]
pub trait Identity: Send + Sync {
    /// Returns who the caller is.
    async fn me(&self) -> Result<Me>;
    /// Gives the caller another password, of 10 characters or more. All logins end, the caller's own too; API keys stay.
    ///
    /// # Errors
    /// `InvalidInput` where the current password is wrong, or the new one is easily guessed.
    async fn password_change(&self, change: PasswordChange) -> Result<()>;

    /// Adds a user. Their first password is in the answer and nowhere else.
    ///
    /// # Errors
    /// `Conflict` where the name is taken, by somebody who was disabled too.
    async fn user_create(&self, user: UserCreate) -> Result<NewUser>;
    /// Lists users, by name unless another order is asked for.
    async fn user_list(&self, page: PageRequest<UserSort>) -> Result<Page<User>>;
    /// Returns a user; `None` where there is none, or the caller may not know of them.
    async fn user_get(&self, id: UserId) -> Result<Option<User>>;
    /// Changes a user. Who is disabled loses all logins and API keys. Queued commands and unused registration tokens that the user
    /// may not make any more are revoked with it.
    ///
    /// # Errors
    /// `Conflict` where no global admin would be left who is not disabled.
    async fn user_update(&self, id: UserId, update: UserUpdate) -> Result<Changed<User>>;
    /// Gives a user a random password, which is in the answer and nowhere else. All their logins end; API keys stay.
    async fn user_password_reset(&self, id: UserId) -> Result<NewPassword>;

    /// Makes a team.
    async fn team_create(&self, team: TeamCreate) -> Result<Team>;
    /// Lists the caller's teams, a part at a time and by slug unless another order is asked for; a global admin sees all.
    async fn team_page(&self, page: PageRequest<TeamSort>) -> Result<Page<Team>>;
    /// Lists all of the caller's teams by slug.
    async fn team_list(&self) -> Result<Vec<Team>> {
        collect(usize::MAX, None, |page| self.team_page(page)).await
    }
    /// Lists a team's members by name, a part at a time, for its admins.
    async fn team_member_page(&self, team: TeamId, page: PageRequest<TeamMemberSort>) -> Result<Page<TeamMember>>;
    /// Lists all members of a team by name, for its admins.
    async fn team_member_list(&self, team: TeamId) -> Result<Vec<TeamMember>> {
        collect(usize::MAX, None, |page| self.team_member_page(team, page)).await
    }
    /// Makes a user a member of a team, or changes what they are there. A lower role revokes what needs a higher one, as in
    /// [`user_update`](Self::user_update).
    async fn team_member_put(&self, team: TeamId, member: TeamMemberPut) -> Result<Changed<TeamMember>>;
    /// Takes a user out of a team, and revokes what they lose with it.
    async fn team_member_remove(&self, team: TeamId, user: UserId) -> Result<RevokedWork>;
    /// Changes a team, for its admins. Members with the role `team_user` have what the team says of it at once; what they lose with
    /// it is revoked, as in [`user_update`](Self::user_update).
    ///
    /// # Errors
    /// `InvalidInput` where `team_user` is to be neither operator nor viewer.
    async fn team_update(&self, team: TeamId, update: TeamUpdate) -> Result<Changed<Team>>;
    /// Returns the networks from which the members of a team may use it, for its admins.
    async fn team_allow_list(&self, team: TeamId) -> Result<AllowList>;
    /// Sets them. Members who call from elsewhere are like people who are in no such team, and their streams and sessions end.
    /// Global admins are not limited, so that they can always change the list.
    ///
    /// # Errors
    /// `InvalidInput` for what is no network, and for a list without the caller's own address, unless the change is forced.
    async fn team_allow_list_set(&self, team: TeamId, update: AllowListUpdate) -> Result<AllowList>;

    /// Makes an API key for the caller. Its secret is in the answer and nowhere else. A key that is made with a key has no more
    /// rights than that, ends no later, and is revoked with it.
    ///
    /// # Errors
    /// `InvalidInput` for a permission that the caller has not, or a limit that is wider than that of the caller's key.
    async fn api_key_create(&self, key: ApiKeyCreate) -> Result<NewApiKey>;
    /// Lists the caller's API keys, or those of another user for callers with `api_keys.any`: a part at a time, and the newest
    /// first unless another order is asked for.
    ///
    /// # Errors
    /// `NotFound` where there is no such user; `Forbidden` without the permission, for any user but the caller.
    async fn api_key_page(&self, filter: ApiKeyFilter, page: PageRequest<ApiKeySort>) -> Result<Page<ApiKeyInfo>>;
    /// Lists all of the caller's API keys, newest first.
    async fn api_key_list(&self) -> Result<Vec<ApiKeyInfo>> {
        collect(usize::MAX, None, |page| self.api_key_page(ApiKeyFilter::default(), page)).await
    }
    /// Lists all API keys of any user, newest first. The errors are those of [`api_key_page`](Self::api_key_page).
    async fn api_key_list_of(&self, user: UserId) -> Result<Vec<ApiKeyInfo>> {
        collect(usize::MAX, None, |page| self.api_key_page(ApiKeyFilter { user_id: Some(user) }, page)).await
    }
    /// Gives one of the caller's API keys another secret, which is in the answer and nowhere else. The one before is accepted for
    /// the overlap, and not after it; the key's end stays.
    async fn api_key_rotate(&self, id: ApiKeyId, rotate: ApiKeyRotate) -> Result<NewApiKey>;
    /// Revokes one of the caller's API keys, at once, with all that was made with it. Callers with `api_keys.any` revoke those of others too.
    async fn api_key_revoke(&self, id: ApiKeyId) -> Result<RevokedWork>;

    /// Makes a registration token: global ones by global admins, a team's by its admins.
    async fn registration_token_create(&self, token: RegistrationTokenCreate) -> Result<NewRegistrationToken>;
    /// Lists the registration tokens the caller may make, a part at a time and the newest first unless another order is asked
    /// for.
    async fn registration_token_page(
        &self,
        page: PageRequest<RegistrationTokenSort>,
    ) -> Result<Page<RegistrationTokenInfo>>;
    /// Lists all registration tokens the caller may make, newest first.
    async fn registration_token_list(&self) -> Result<Vec<RegistrationTokenInfo>> {
        collect(usize::MAX, None, |page| self.registration_token_page(page)).await
    }
    /// Revokes a registration token that was not used yet.
    async fn registration_token_revoke(&self, id: RegistrationTokenId) -> Result<()>;
}
