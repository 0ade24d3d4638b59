//! Users.

use async_trait::async_trait;
use hive_wire::api::{PlatformRole, User};
use hive_wire::{Timestamp, UserId};

use crate::audit::AuditDraft;
use crate::{StoreResult, Window};

/// Users.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Adds a user. `Taken` where the name is.
    async fn user_create(&self, user: NewUser, audit: AuditDraft) -> StoreResult<User>;
    /// Returns a user.
    async fn user_get(&self, id: UserId) -> StoreResult<Option<UserRow>>;
    /// Returns the user of this name.
    async fn user_find(&self, username: &str) -> StoreResult<Option<UserRow>>;
    /// Lists users by name, and how many there are.
    async fn user_list(&self, window: Window) -> StoreResult<(Vec<User>, u64)>;
    /// Changes a user; who is disabled has no login of before when they are enabled again. However many callers come at
    /// once, a global admin who is not disabled is left.
    async fn user_update(&self, id: UserId, patch: UserPatch, audit: AuditDraft) -> StoreResult<UserUpdated>;
    /// Sets a password, and ends all logins. With `before` only where that is the hash of now: of all callers with one
    /// hash at most one gets true. The record is written only then.
    async fn user_password_set(
        &self,
        id: UserId,
        hash: String,
        before: Option<String>,
        audit: AuditDraft,
    ) -> StoreResult<bool>;
}

/// A user to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Who.
    pub user: User,
    /// The argon2id hash of the password.
    pub password_hash: String,
}

/// A user with what verifies their password and their logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Who.
    pub user: User,
    /// The argon2id hash of the password.
    pub password_hash: String,
    /// Logins of earlier generations are dead.
    pub login_generation: u64,
}

/// What changes about a user. What is not given stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPatch {
    /// Their platform role.
    pub role: Option<PlatformRole>,
    /// Whether they are disabled.
    pub disabled: Option<bool>,
    /// When.
    pub now: Timestamp,
}

/// What became of a change of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserUpdated {
    /// As they are now.
    Updated(User),
    /// No global admin would be left who is not disabled. Nothing was changed.
    LastAdmin,
    /// There is no such user.
    Unknown,
}
