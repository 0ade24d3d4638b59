//! The input and the outcome of a registration.

use hive_wire::agent::SystemInfo;
use hive_wire::{SatelliteId, SatelliteName, TeamId, Timestamp};

use super::SatelliteRow;
use crate::TokenState;

/// A satellite to register.
#[derive(Debug, Clone)]
pub struct NewSatellite {
    /// Its id, if its name is new.
    pub id: SatelliteId,
    /// Its name.
    pub name: SatelliteName,
    /// The team of its token. `None` for a global token.
    pub team_id: Option<TeamId>,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// Its tags, if its name is new.
    pub tags: Vec<String>,
    /// The tags that it claims and that its token does not give.
    pub claimed_tags: Vec<String>,
    /// Its public base URL.
    pub satellite_url: String,
    /// The description of the machine.
    pub system: SystemInfo,
    /// The version of the agent.
    pub agent_version: Option<String>,
    /// The argon2id hash of the secret of its new key.
    pub api_key_hash: String,
    /// The creator of its token.
    pub created_by: String,
    /// Whether it may use its name.
    pub name_use: NamePolicy,
    /// The hash of the attempt: a random text that the agent repeats when it repeats the request.
    pub attempt_hash: Option<String>,
    /// The time of the registration.
    pub now: Timestamp,
}

/// Whether a registration may use its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamePolicy {
    /// If no satellite has it.
    New,
    /// If no satellite has it, or if this one has it, which gets the new key.
    Of(SatelliteId),
    /// No. The registration fails with the state of the token if that is the reason, and else with `NameTaken`.
    None,
}

/// A registration that is repeated because its answer was lost.
#[derive(Debug, Clone)]
pub struct RegistrationRetry {
    /// The hash of the attempt.
    pub attempt_hash: String,
    /// The name of the satellite.
    pub name: SatelliteName,
    /// The earliest time at which the token may have been consumed.
    pub since: Timestamp,
    /// The argon2id hash of the secret of the new key.
    pub api_key_hash: String,
    /// The time of the repetition.
    pub now: Timestamp,
}

/// The outcome of a registration.
#[derive(Debug, Clone)]
pub enum RegisterOutcome {
    /// The satellite is registered, and the token consumed.
    Registered(Box<SatelliteRow>),
    /// The token cannot be used.
    TokenUnusable(TokenState),
    /// Another satellite has the name. The token is not consumed.
    NameTaken,
}
