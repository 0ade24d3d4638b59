//! Users, teams and API keys.

mod api_keys;
mod losses;
mod teams;
mod users;

pub use api_keys::{ApiKeyOwner, ApiKeyRow, ApiKeyStore, KeyRotation, PreviousKey};
pub use losses::{CancelledCommand, Losses, NeededRoles, RemainingRights};
pub use teams::{MemberLosses, TeamPatch, TeamStore};
pub use users::{NewUserRow, UserPatch, UserRow, UserStore, UserUpdateOutcome};

/// Users, teams and API keys.
pub trait IdentityStore: UserStore + TeamStore + ApiKeyStore {}

impl<T: UserStore + TeamStore + ApiKeyStore> IdentityStore for T {}
