//! Users, teams and registration tokens.

use serde::{Deserialize, Serialize};

use crate::credential::Secret;
use crate::open::{known, known_opt};
use crate::{ApiKeyId, RegistrationTokenId, SatelliteId, TeamId, Timestamp, UserId, open_enum};

open_enum! {
    /// The role of a user on the whole platform.
    pub enum PlatformRole {
        /// All rights on everything.
        GlobalAdmin = "global_admin",
        /// No rights outside of the teams of the user.
        GlobalUser = "global_user",
    }
}

open_enum! {
    /// A role within a scope: the platform or a team.
    pub enum Role {
        /// May read.
        Viewer = "viewer",
        /// May read, and run commands.
        Operator = "operator",
        /// All rights in the scope.
        Admin = "admin",
    }
}

impl Role {
    /// The role of a member that follows what its team says of `team_user`. It is no role by itself, and grants nothing: a store
    /// returns the role that the team gives in its place.
    pub fn of_team_user() -> Self {
        Self::from("team_user")
    }

    pub(super) fn least() -> Self {
        Self::Viewer
    }

    /// Returns whether the role includes the rights of `least`. An unknown role includes no rights, and no role
    /// includes an unknown one.
    pub fn is_at_least(&self, least: &Self) -> bool {
        match (self.rank(), least.rank()) {
            (Some(has), Some(needs)) => has >= needs,
            // A role of a later version: what it includes is not known.
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// The login name.
    pub username: String,
    /// Their platform role.
    pub role: PlatformRole,
    /// When they were added.
    pub created_at: Timestamp,
    /// When the user was disabled. Since then their logins and API keys are refused.
    #[serde(default)]
    pub disabled_at: Option<Timestamp>,
}

/// The request to create a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UserCreate {
    /// The login name, unique: 1 to 64 characters of `[a-z0-9._@-]`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9._@-]{1,64}$"))]
    pub username: String,
    /// Their platform role; without rights of their own unless given.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::known_words::<PlatformRole>))]
    #[serde(default = "PlatformRole::least", deserialize_with = "known")]
    pub role: PlatformRole,
}

/// A user that was just created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewUser {
    /// The user.
    pub user: User,
    /// Random, and shown once.
    pub password: Secret,
}

/// A change of a user by an admin. Fields that are not given stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct UserUpdate {
    /// Their platform role.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::known_words_or_null::<PlatformRole>))]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known_opt")]
    pub role: Option<PlatformRole>,
    /// Whether the user is disabled. When they are enabled again, earlier logins stay void, and API keys are accepted
    /// again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A password that an admin has set for a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewPassword {
    /// Random, and shown once.
    pub password: Secret,
}

/// The request of a caller to change their password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The current password.
    pub current: Secret,
    /// The new password: 10 characters or more, and not one that is easily guessed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 10, max_length = 1024))]
    pub new: Secret,
}

impl PlatformRole {
    fn least() -> Self {
        Self::GlobalUser
    }
}

/// The caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// The user, or the owner of the API key.
    pub user: User,
    /// The API key the call came with.
    pub api_key_id: Option<ApiKeyId>,
}

/// A login.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The login name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// A successful login.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginResponse {
    /// A JWT for the `Authorization` header.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who logged in.
    pub user: User,
}

/// What was revoked together with a right or a credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RevokedWork {
    /// Queued commands that were cancelled, those of jobs left out.
    pub commands: u64,
    /// Targets of jobs whose commands were cancelled before they started.
    pub job_targets: u64,
    /// Registration tokens that were not used yet.
    pub registration_tokens: u64,
    /// API keys.
    pub api_keys: u64,
}

impl std::ops::AddAssign for RevokedWork {
    fn add_assign(&mut self, more: Self) {
        let Self { commands, job_targets, registration_tokens, api_keys } = more;
        self.commands += commands;
        self.job_targets += job_targets;
        self.registration_tokens += registration_tokens;
        self.api_keys += api_keys;
    }
}

/// What a change has left, and what was revoked with it. It derefs to the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed<T> {
    /// The value after the change.
    #[serde(flatten)]
    pub value: T,
    /// What was revoked, where there was anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<RevokedWork>,
}

impl<T> std::ops::Deref for Changed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

open_enum! {
    /// The scope of a registration token.
    pub enum TokenScope {
        /// For the whole hive.
        Global = "global",
        /// For one team.
        Team = "team",
    }
}

/// The request to create a registration token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RegistrationTokenCreate {
    /// Its scope.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::known_words::<TokenScope>))]
    #[serde(deserialize_with = "known")]
    pub scope: TokenScope,
    /// The team, where the scope is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// Its life; global 1 (at most 24), team 24 (at most 72) unless given.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 72))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_hours: Option<u32>,
    /// What it is for: at most 255 characters, none of them control characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The satellite that it replaces, online or not. Without it, the token registers a new satellite, or replaces one
    /// that is offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_satellite: Option<SatelliteId>,
    /// Labels that a new satellite gets.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::TagText>, max_items = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Patterns of labels that a new satellite may claim; `*` stands for any characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::TagPattern>, max_items = 64))]
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

/// A registration token that was just created.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewRegistrationToken {
    /// Shown once.
    pub token: String,
    /// Its id: `id`, and `token_id` for older clients.
    #[serde(flatten, with = "both_ids")]
    #[cfg_attr(feature = "openapi", schema(value_type = both_ids::BothIds))]
    pub token_id: RegistrationTokenId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its scope.
    pub scope: TokenScope,
}

/// A registration token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationTokenInfo {
    /// Its id: `id`, and `token_id` for older clients.
    #[serde(flatten, with = "both_ids")]
    #[cfg_attr(feature = "openapi", schema(value_type = both_ids::BothIds))]
    pub token_id: RegistrationTokenId,
    /// Its scope.
    pub scope: TokenScope,
    /// The team, where the scope is one.
    pub team_id: Option<TeamId>,
    /// What it is for.
    pub description: Option<String>,
    /// The name of its creator.
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
    /// The satellite that it replaces.
    #[serde(default)]
    pub for_satellite: Option<SatelliteId>,
}

/// Writes one id under two names.
mod both_ids {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::RegistrationTokenId;

    #[derive(Serialize)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub(super) struct BothIds {
        /// The id.
        id: RegistrationTokenId,
        /// The same id, for older clients.
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
