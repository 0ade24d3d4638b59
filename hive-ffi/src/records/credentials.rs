//! API keys and registration tokens.

use std::time::SystemTime;

use hive_core::wire::api;

use super::Secret;
use super::convert::{parse_id, system_time};
use crate::HiveError;

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The id of its user.
    pub user_id: String,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it expires.
    pub expires_at: Option<SystemTime>,
    /// When it was revoked.
    pub revoked_at: Option<SystemTime>,
    /// When it was last used.
    pub last_used_at: Option<SystemTime>,
    /// The permissions to which it is limited.
    pub scopes: Option<Vec<String>>,
    /// The satellites to which it is limited, each as `tag:x`.
    pub satellites: Option<Vec<String>>,
    /// The networks from which it may be used.
    pub addresses: Option<Vec<String>>,
    /// The most calls in a minute.
    pub rate_per_minute: Option<u32>,
    /// The key with which it was made.
    pub parent_id: Option<String>,
}

/// What an API key is limited to. Everything may be left out: then it can do what its maker can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct ApiKeyOptions {
    /// The hours until it expires; never unless given.
    #[uniffi(default = None)]
    pub expires_in_hours: Option<u32>,
    /// The permissions to which it is limited, such as `satellites.read`.
    #[uniffi(default = None)]
    pub scopes: Option<Vec<String>>,
    /// The satellites to which it is limited, each as `tag:x`.
    #[uniffi(default = None)]
    pub satellites: Option<Vec<String>>,
    /// The networks from which it may be used, such as `192.0.2.0/24`.
    #[uniffi(default = None)]
    pub addresses: Option<Vec<String>>,
    /// The most calls in a minute.
    #[uniffi(default = None)]
    pub rate_per_minute: Option<u32>,
}

impl ApiKeyOptions {
    /// The request for a key with this name.
    pub(crate) fn named(self, name: String) -> api::ApiKeyCreate {
        let Self { expires_in_hours, scopes, satellites, addresses, rate_per_minute } = self;
        api::ApiKeyCreate { name, expires_in_hours, scopes, satellites, addresses, rate_per_minute }
    }
}

impl From<api::ApiKeyInfo> for ApiKey {
    fn from(key: api::ApiKeyInfo) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            user_id: key.user_id.to_string(),
            created_at: system_time(key.created_at),
            expires_at: key.expires_at.map(system_time),
            revoked_at: key.revoked_at.map(system_time),
            last_used_at: key.last_used_at.map(system_time),
            scopes: key.scopes,
            satellites: key.satellites,
            addresses: key.addresses,
            rate_per_minute: key.rate_per_minute,
            parent_id: key.parent_id.map(|id| id.to_string()),
        }
    }
}

/// A new API key. This is the only time that its secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct NewApiKey {
    /// The secret.
    pub api_key: Secret,
    /// The rest of it.
    pub info: ApiKey,
}

impl From<api::NewApiKey> for NewApiKey {
    fn from(key: api::NewApiKey) -> Self {
        Self { api_key: Secret(key.api_key), info: key.info.into() }
    }
}

/// What a registration token is for. Everything may be left out: then it registers one new satellite of the whole hive.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct RegistrationTokenOptions {
    /// The team that the satellite will serve; the whole hive unless given.
    #[uniffi(default = None)]
    pub team_id: Option<String>,
    /// The hours until it expires; for the whole hive 1 (at most 24), for a team 24 (at most 72) unless given.
    #[uniffi(default = None)]
    pub expires_in_hours: Option<u32>,
    /// A note for the list of tokens.
    #[uniffi(default = None)]
    pub description: Option<String>,
    /// The tags of the new satellite.
    #[uniffi(default)]
    pub tags: Vec<String>,
    /// Patterns of tags that the new satellite may claim; `*` stands for any characters.
    #[uniffi(default)]
    pub allowed_tags: Vec<String>,
    /// The satellite that it may take over, by its name or id, online or not. Without it, the token registers a new satellite,
    /// or takes over one that is offline.
    #[uniffi(default = None)]
    pub for_satellite: Option<String>,
}

impl RegistrationTokenOptions {
    /// Returns the request, without the satellite to take over: a name has to be looked up first.
    pub(crate) fn into_request(self) -> Result<api::RegistrationTokenCreate, HiveError> {
        let Self { team_id, expires_in_hours, description, tags, allowed_tags, for_satellite: _ } = self;
        // The scope follows from the team, so that the two cannot contradict each other.
        let request = match team_id {
            Some(team) => api::RegistrationTokenCreate::team(parse_id("team_id", &team)?),
            None => api::RegistrationTokenCreate::global(),
        };
        Ok(api::RegistrationTokenCreate { expires_in_hours, description, tags, allowed_tags, ..request })
    }
}

/// A new registration token, for the registration of one satellite. This is the only time that its secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct NewRegistrationToken {
    /// The secret.
    pub token: Secret,
    /// Its id.
    pub id: String,
    /// When it expires.
    pub expires_at: SystemTime,
}

impl From<api::NewRegistrationToken> for NewRegistrationToken {
    fn from(token: api::NewRegistrationToken) -> Self {
        Self { token: Secret(token.token), id: token.token_id.to_string(), expires_at: system_time(token.expires_at) }
    }
}

/// A registration token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RegistrationToken {
    /// Its id.
    pub id: String,
    /// The team that the satellite will serve; none for the whole hive.
    pub team_id: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it expires.
    pub expires_at: SystemTime,
    /// When a satellite registered with it.
    pub used_at: Option<SystemTime>,
    /// When it was revoked.
    pub revoked_at: Option<SystemTime>,
    /// The tags of the new satellite.
    pub tags: Vec<String>,
    /// Patterns of tags that the new satellite may claim; `*` stands for any characters.
    pub allowed_tags: Vec<String>,
    /// The id of the satellite that it may take over.
    pub for_satellite: Option<String>,
}

impl From<api::RegistrationTokenInfo> for RegistrationToken {
    fn from(token: api::RegistrationTokenInfo) -> Self {
        Self {
            id: token.token_id.to_string(),
            team_id: token.team_id.map(|team| team.to_string()),
            description: token.description,
            created_by: token.created_by,
            created_at: system_time(token.created_at),
            expires_at: system_time(token.expires_at),
            used_at: token.used_at.map(system_time),
            revoked_at: token.revoked_at.map(system_time),
            tags: token.tags,
            allowed_tags: token.allowed_tags,
            for_satellite: token.for_satellite.map(|satellite| satellite.to_string()),
        }
    }
}
