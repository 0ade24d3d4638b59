//! Registration tokens.

use async_trait::async_trait;
use hive_wire::api::{Actor, RegistrationTokenInfo, TokenScope};
use hive_wire::{RegistrationTokenId, SatelliteId, TeamId, Timestamp};

use crate::StoreResult;
use crate::access::{Authority, Sight};
use crate::audit::AuditDraft;

/// Registration tokens. The token itself is signed, not stored.
#[async_trait]
pub trait RegistrationTokenStore: Send + Sync {
    /// Stores a token.
    async fn registration_token_create(&self, token: NewRegistrationToken, audit: AuditDraft) -> StoreResult<()>;
    /// Returns a token.
    async fn registration_token_get(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenInfo>>;
    /// Returns a token with who made it.
    async fn registration_token_row(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenRow>>;
    /// Lists the tokens in sight, newest first.
    async fn registration_token_list(&self, sight: &Sight) -> StoreResult<Vec<RegistrationTokenInfo>>;
    /// Revokes a token that was neither used nor revoked. False otherwise.
    async fn registration_token_revoke(
        &self,
        id: RegistrationTokenId,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<bool>;
}

/// A registration token to be stored.
#[derive(Debug, Clone)]
pub struct NewRegistrationToken {
    /// Its id.
    pub id: RegistrationTokenId,
    /// For whom.
    pub scope: TokenScope,
    /// The team, where the scope is one.
    pub team_id: Option<TeamId>,
    /// What it is for.
    pub description: Option<String>,
    /// Who makes it.
    pub actor: Actor,
    /// What allowed it.
    pub authorised_by: Authority,
    /// The labels that a satellite gets with it.
    pub tags: Vec<String>,
    /// Patterns of labels that a satellite may claim with it.
    pub allowed_tags: Vec<String>,
    /// The one satellite whose place it may take.
    pub for_satellite: Option<SatelliteId>,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A registration token and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationTokenRow {
    /// The token.
    pub info: RegistrationTokenInfo,
    /// Who made it.
    pub actor: Actor,
    /// How many satellites may register with it.
    pub max_uses: u64,
}

/// What a registration token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// There is none of this id.
    Unknown,
    /// A satellite has registered with it.
    Used,
    /// It was revoked.
    Revoked,
    /// Its time is up.
    Expired,
}
