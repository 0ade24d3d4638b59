//! What goes into a registration of a satellite, and what comes of it.

use hive_wire::agent::SystemInfo;
use hive_wire::{SatelliteId, SatelliteName, TeamId, Timestamp};

use super::SatelliteRow;
use crate::TokenState;

/// A satellite that registers.
#[derive(Debug, Clone)]
pub struct NewSatellite {
    /// The id it gets where its name is new.
    pub id: SatelliteId,
    /// Its name.
    pub name: SatelliteName,
    /// The team of its token; none for a global one.
    pub team_id: Option<TeamId>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// The labels it starts with; kept labels win where the name is known.
    pub tags: Vec<String>,
    /// What it says of itself beyond them.
    pub claimed_tags: Vec<String>,
    /// Its public base URL.
    pub satellite_url: String,
    /// The machine.
    pub system: SystemInfo,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The argon2id hash of its new key's secret.
    pub api_key_hash: String,
    /// Who made its token.
    pub created_by: String,
    /// Whether it may have a name that another one has.
    pub name_use: NameUse,
    /// A hash of the word that it sends again with the same request.
    pub attempt_hash: Option<String>,
    /// The time.
    pub now: Timestamp,
}

/// What a registration may do with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameUse {
    /// Take it where nobody has it.
    New,
    /// Also take it over from this satellite, which gets the new key.
    Of(SatelliteId),
    /// Nothing: it is refused, with the reason why the token cannot be used where there is one.
    None,
}

/// A registration that is sent again because its answer was lost.
#[derive(Debug, Clone)]
pub struct RegisterAgain {
    /// The hash of the word that it was sent with.
    pub attempt_hash: String,
    /// Its name.
    pub name: SatelliteName,
    /// The token must have been used since.
    pub since: Timestamp,
    /// The argon2id hash of the new key's secret.
    pub api_key_hash: String,
    /// The time.
    pub now: Timestamp,
}

/// How a registration went.
#[derive(Debug, Clone)]
pub enum RegisterOutcome {
    /// It is registered, and the token is spent.
    Registered(Box<SatelliteRow>),
    /// The token cannot be used.
    TokenUnusable(TokenState),
    /// Another satellite has the name, and may keep it. The token is not spent.
    NameTaken,
}
