//! Users, teams, API keys and registration tokens.

use serde::{Deserialize, Serialize};

use crate::credential::Secret;
use crate::open::{known, known_opt};
use crate::open_enum;
use crate::{ApiKeyId, RegistrationTokenId, SatelliteId, TeamId, Timestamp, UserId};

open_enum! {
    /// What a user is on the platform as a whole.
    pub enum PlatformRole {
        /// May do everything everywhere.
        GlobalAdmin = "global_admin",
        /// May do nothing outside of own teams.
        GlobalUser = "global_user",
    }
}

open_enum! {
    /// What somebody is within one reach: the platform or a team.
    pub enum Role {
        /// Sees.
        Viewer = "viewer",
        /// Sees and runs.
        Operator = "operator",
        /// Does everything.
        Admin = "admin",
    }
}

impl Role {
    /// Whether the role includes all of what `least` may do. An unknown role includes nothing, and nobody has it all.
    pub fn is_at_least(&self, least: &Self) -> bool {
        match (self.rank(), least.rank()) {
            (Some(has), Some(needs)) => has >= needs,
            _ => false,
        }
    }

    fn rank(&self) -> Option<u8> {
        match self {
            Self::Viewer => Some(0),
            Self::Operator => Some(1),
            Self::Admin => Some(2),
            Self::Unknown(_) => None,
        }
    }
}

/// A person who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// The login name.
    pub username: String,
    /// Their platform role.
    pub role: PlatformRole,
    /// When they were added.
    pub created_at: Timestamp,
    /// Since when neither their logins nor their keys are taken.
    #[serde(default)]
    pub disabled_at: Option<Timestamp>,
}

/// A user to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCreate {
    /// The login name, unique: 1 to 64 characters of `[a-z0-9._@-]`.
    pub username: String,
    /// Their platform role; without rights of their own unless given.
    #[serde(default = "PlatformRole::least", deserialize_with = "known")]
    pub role: PlatformRole,
}

/// A user as they were just added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUser {
    /// Who.
    pub user: User,
    /// Random, and shown once.
    pub password: Secret,
}

/// What an admin may change of a user. What is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserUpdate {
    /// Their platform role.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known_opt")]
    pub role: Option<PlatformRole>,
    /// Whether their logins and keys are refused. Logins of before stay refused when it is taken back; keys are taken
    /// again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A password that was just set by somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPassword {
    /// Random, and shown once.
    pub password: Secret,
}

/// Another password for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one of now.
    pub current: Secret,
    /// The one from now on.
    pub new: Secret,
}

impl PlatformRole {
    fn least() -> Self {
        Self::GlobalUser
    }
}

/// Who the caller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The user, or the owner of the API key.
    pub user: User,
    /// The API key the call came with.
    pub api_key_id: Option<ApiKeyId>,
}

/// A login.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The login name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// A successful login.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginResponse {
    /// A JWT for the `Authorization` header.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who logged in.
    pub user: User,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its short name, unique.
    pub slug: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A team to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamCreate {
    /// Its short name: 1 to 32 characters of `[a-z0-9-]`.
    pub slug: String,
}

/// Somebody in a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamMember {
    /// Who.
    pub user_id: UserId,
    /// Their login name.
    pub username: String,
    /// What they are in the team.
    pub role: Role,
}

/// Somebody who is to be in a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamMemberPut {
    /// Their login name: who runs a team need not know all users by their ids.
    pub username: String,
    /// What they are to be in it.
    #[serde(deserialize_with = "known")]
    pub role: Role,
}

/// An API key to be made, for the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKeyCreate {
    /// What it is for.
    pub name: String,
    /// When it ends; never unless given.
    pub expires_in_hours: Option<u32>,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyInfo {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// Whose it is.
    pub user_id: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An API key as it was just made.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewApiKey {
    /// Shown once.
    pub api_key: String,
    /// The rest of it.
    pub info: ApiKeyInfo,
}

open_enum! {
    /// For whom a registration token registers satellites.
    pub enum TokenScope {
        /// For the whole hive.
        Global = "global",
        /// For one team.
        Team = "team",
    }
}

/// A registration token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationTokenCreate {
    /// For whom.
    #[serde(deserialize_with = "known")]
    pub scope: TokenScope,
    /// The team, where the scope is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// Its life; global 1 (at most 24), team 24 (at most 72) unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_hours: Option<u32>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The one satellite whose place it may take, online or not; without it a new one, or one that is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_satellite: Option<SatelliteId>,
    /// Labels that a new satellite gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Patterns of labels that a new satellite may claim; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_tags: Vec<String>,
}

impl RegistrationTokenCreate {
    /// A token for a satellite of the whole hive, of the usual life.
    pub fn global() -> Self {
        Self {
            scope: TokenScope::Global,
            team_id: None,
            expires_in_hours: None,
            description: None,
            for_satellite: None,
            tags: Vec::new(),
            allowed_tags: Vec::new(),
        }
    }

    /// A token for a satellite of one team, of the usual life.
    pub fn team(team_id: TeamId) -> Self {
        Self { scope: TokenScope::Team, team_id: Some(team_id), ..Self::global() }
    }
}

/// A registration token as it was just made.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewRegistrationToken {
    /// Shown once.
    pub token: String,
    /// Its id: `id`, and `token_id` for older clients.
    #[serde(flatten, with = "both_ids")]
    pub token_id: RegistrationTokenId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// For whom.
    pub scope: TokenScope,
}

/// A registration token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationTokenInfo {
    /// Its id: `id`, and `token_id` for older clients.
    #[serde(flatten, with = "both_ids")]
    pub token_id: RegistrationTokenId,
    /// For whom.
    pub scope: TokenScope,
    /// The team, where the scope is one.
    pub team_id: Option<TeamId>,
    /// What it is for.
    pub description: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When a satellite registered with it.
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Labels that a new satellite gets.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Patterns of labels that a new satellite may claim.
    #[serde(default)]
    pub allowed_tags: Vec<String>,
    /// The one satellite whose place it may take.
    #[serde(default)]
    pub for_satellite: Option<SatelliteId>,
}

/// One id under two names.
mod both_ids {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::RegistrationTokenId;

    #[derive(Serialize)]
    struct BothIds {
        id: RegistrationTokenId,
        token_id: RegistrationTokenId,
    }

    #[derive(Deserialize)]
    struct Read {
        token_id: RegistrationTokenId,
    }

    pub(super) fn serialize<S: Serializer>(id: &RegistrationTokenId, serializer: S) -> Result<S::Ok, S::Error> {
        BothIds { id: *id, token_id: *id }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RegistrationTokenId, D::Error> {
        Ok(Read::deserialize(deserializer)?.token_id)
    }
}
