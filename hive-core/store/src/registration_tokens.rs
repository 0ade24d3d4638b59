//! Registration tokens.

use async_trait::async_trait;
use hive_wire::api::{Actor, RegistrationTokenInfo, RegistrationTokenSort, TokenScope};
use hive_wire::{RegistrationTokenId, SatelliteId, TeamId, Timestamp};

use crate::access::{Authority, VisibleScope};
use crate::audit::AuditDraft;
use crate::{RowRange, StoreResult};

/// Registration tokens. The secret text of a token is not stored: it is signed by the hive and has the id in it.
#[async_trait]
pub trait RegistrationTokenStore: Send + Sync {
    /// Stores a token.
    async fn registration_token_create(&self, token: NewRegistrationTokenRow, audit: AuditDraft) -> StoreResult<()>;
    /// Returns a token.
    async fn registration_token_get(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenInfo>>;
    /// Returns a token with its creator.
    async fn registration_token_row(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenRow>>;
    /// Lists the tokens in visible, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn registration_token_list(
        &self,
        visible: &VisibleScope,
        range: RowRange<RegistrationTokenSort>,
    ) -> StoreResult<(Vec<RegistrationTokenInfo>, u64)>;
    /// Revokes a token that was neither consumed nor revoked. False for any other.
    async fn registration_token_revoke(
        &self,
        id: RegistrationTokenId,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<bool>;
}

/// A registration token to store.
#[derive(Debug, Clone)]
pub struct NewRegistrationTokenRow {
    /// Its id.
    pub id: RegistrationTokenId,
    /// Its scope.
    pub scope: TokenScope,
    /// Its team, if that is its scope.
    pub team_id: Option<TeamId>,
    /// A description for people.
    pub description: Option<String>,
    /// Its creator.
    pub actor: Actor,
    /// The authority of its creator.
    pub authorised_by: Authority,
    /// The tags that a satellite gets.
    pub tags: Vec<String>,
    /// Patterns of tags that a satellite may claim.
    pub allowed_tags: Vec<String>,
    /// The only satellite that it may take over.
    pub for_satellite: Option<SatelliteId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A stored registration token with its creator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationTokenRow {
    /// The token.
    pub info: RegistrationTokenInfo,
    /// Its creator.
    pub actor: Actor,
    /// How many satellites may register with it.
    pub max_uses: u64,
}

/// Why a registration token cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// There is no token with this id.
    Unknown,
    /// It was consumed.
    Used,
    /// It was revoked.
    Revoked,
    /// It expired.
    Expired,
}
