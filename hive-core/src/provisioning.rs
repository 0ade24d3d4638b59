//! Agents ready to run: a sketch of what is to come. Nothing implements it yet, and [`HiveApi`](crate::HiveApi) leaves it out.

use async_trait::async_trait;
use hive_wire::{SatelliteName, Timestamp};
use secrecy::SecretString;

use crate::Result;

/// An operating system and a processor that an agent is built for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux`, `windows` or `darwin`.
    pub os: String,
    /// `amd64` or `arm64`.
    pub arch: String,
}

/// An agent to be provisioned.
#[derive(Debug, Clone)]
pub struct ProvisionParams {
    /// The name its satellite will have.
    pub name: SatelliteName,
    /// The labels its satellite starts with.
    pub tags: Vec<String>,
    /// What it is built for.
    pub platform: Platform,
}

/// A provisioned agent.
#[derive(Debug)]
pub struct ProvisionResult {
    /// Downloads it once.
    pub token: SecretString,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// The SHA-256 of the binary, in hex.
    pub checksum: String,
}

/// Generates agents with their configuration embedded.
#[async_trait]
pub trait ProvisioningService: Send + Sync {
    /// Provisions an agent.
    async fn provision(&self, params: ProvisionParams) -> Result<ProvisionResult>;
    /// Returns where a provisioned agent is downloaded.
    fn get_download_url(&self, token: &SecretString) -> SecretString;
    /// Lists the platforms agents are built for.
    async fn list_platforms(&self) -> Result<Vec<Platform>>;
    /// Returns what a download token stands for; `None` once it was used, revoked or has expired.
    async fn validate_token(&self, token: &SecretString) -> Result<Option<ProvisionParams>>;
}
