//! Users.

use async_trait::async_trait;
use hive_wire::api::{PlatformRole, User, UserSort};
use hive_wire::{Timestamp, UserId};

use super::losses::{Losses, NeededRoles};
use crate::audit::AuditDraft;
use crate::{RowRange, StoreResult};

/// Users.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Stores a user. Fails with `Taken` if the name is in use.
    async fn user_create(&self, user: NewUserRow, audit: AuditDraft) -> StoreResult<User>;
    /// Returns a user.
    async fn user_get(&self, id: UserId) -> StoreResult<Option<UserRow>>;
    /// Returns the user with this name.
    async fn user_find(&self, username: &str) -> StoreResult<Option<UserRow>>;
    /// Lists users, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn user_list(&self, range: RowRange<UserSort>) -> StoreResult<(Vec<User>, u64)>;
    /// Changes a user. Disabling a user ends their logins and API keys for good. Queued commands and unused registration tokens
    /// that the user may not make any more are revoked in the same transaction. At least one enabled global admin remains, also
    /// with concurrent callers.
    async fn user_update(&self, id: UserId, patch: UserPatch, audit: AuditDraft) -> StoreResult<UserUpdateOutcome>;
    /// Sets a password, and ends all logins of the user. With `before`, only if that is the current hash: of all callers with one
    /// hash, at most one gets true. The audit record is written only then.
    async fn user_password_set(
        &self,
        id: UserId,
        hash: String,
        before: Option<String>,
        audit: AuditDraft,
    ) -> StoreResult<bool>;
}

/// A user to store.
#[derive(Debug, Clone)]
pub struct NewUserRow {
    /// The user.
    pub user: User,
    /// The argon2id hash of the password.
    pub password_hash: String,
}

/// A stored user with what verifies their password and logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The user.
    pub user: User,
    /// The argon2id hash of the password.
    pub password_hash: String,
    /// The number of the login generation. Logins of earlier generations are invalid.
    pub login_generation: u64,
}

/// A change of a user. `None` keeps the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPatch {
    /// The platform role.
    pub role: Option<PlatformRole>,
    /// Whether the user is disabled.
    pub disabled: Option<bool>,
    /// The roles that queued work and tokens need.
    pub needed: NeededRoles,
    /// The time of the change.
    pub now: Timestamp,
}

/// The outcome of a change of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserUpdateOutcome {
    /// The user after the change, and what was revoked with it.
    Updated(User, Losses),
    /// No enabled global admin would remain. Nothing was changed.
    LastAdmin,
    /// There is no such user.
    Unknown,
}
