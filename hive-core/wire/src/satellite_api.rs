//! Bodies of the HTTPS API for satellites (`/api/satellites`). Unknown fields are accepted and skipped.

use serde::{Deserialize, Serialize};

use crate::api::SatelliteType;
use crate::open_enum;
use crate::{HiveId, SatelliteId, TeamId};

/// The header with the id of the hive that a satellite expects.
pub const HIVE_ID_HEADER: &str = "x-hive-id";

/// The registration request of a satellite. The token alone decides its type and team.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterRequest {
    /// The requested name. The server checks it, so that an invalid one gets the documented answer.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::SatelliteName))]
    pub name: String,
    /// What it can do.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::TagText>, max_items = 64))]
    #[serde(default = "default_capabilities")]
    pub capabilities: Vec<String>,
    /// Labels that it claims. The token decides which of them it gets.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::TagText>, max_items = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its public base URL, without a path.
    #[cfg_attr(feature = "openapi", schema(max_length = 255, pattern = r"^https?://[A-Za-z0-9\-.:\[\]]+/?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellite_url: Option<String>,
    /// The machine.
    #[serde(default)]
    pub system_info: RegisterSystemInfo,
    /// A random id, the same when this request is repeated, so that a lost answer does not cost a token.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9]{16,64}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
}

fn default_capabilities() -> Vec<String> {
    ["stdio", "http", "sse"].map(String::from).to_vec()
}

/// The machine, as reported at registration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RegisterSystemInfo {
    /// `linux`, `darwin` or `windows`.
    pub os: String,
    /// `x86_64`, `aarch64` …
    pub arch: String,
    /// Memory, in MiB.
    pub memory_mb: u64,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The agent's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
}

/// The answer to a registration. The API key is never shown again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterResponse {
    /// Always true.
    pub success: bool,
    /// The satellite.
    pub satellite: RegisteredSatellite,
    /// A message for people.
    pub message: String,
    /// The hive it is registered with. Servers of earlier versions do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hive_id: Option<HiveId>,
}

/// A satellite as it was just registered.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisteredSatellite {
    /// Its id: the same as before where it had registered before.
    pub id: SatelliteId,
    /// Its name.
    pub name: String,
    /// Whether it serves the whole hive or one team.
    pub satellite_type: SatelliteType,
    /// Its team, where it has one.
    pub team_id: Option<TeamId>,
    /// `inactive`.
    pub status: String,
    /// Shown once.
    pub api_key: String,
}

/// An error of this API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorResponse {
    /// Always false.
    pub success: bool,
    /// The error code, such as `registration_token_used`.
    pub error: String,
    /// What went wrong.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// In a 401: the hive that answers. A 401 without it comes from a proxy in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hive_id: Option<HiveId>,
    /// In a 401 to a satellite's key: why the key is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<RejectionClass>,
}

open_enum! {
    /// Why a hive does not accept a satellite's key.
    pub enum RejectionClass {
        /// The hive does not know the key.
        UnknownKey = "unknown_key",
        /// The key was replaced by a newer one: the satellite runs on an older copy of its data.
        Superseded = "superseded",
        /// The satellite named another hive in [`HIVE_ID_HEADER`]. Its key was not looked at.
        OtherHive = "other_hive",
    }
}

/// Whether and how satellites register (`GET /api/satellites/register/status`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegisterStatus {
    /// `token_based`.
    pub registration_method: String,
    /// Always true.
    pub token_required: bool,
    /// What a token may start with.
    pub supported_prefixes: Vec<String>,
    /// What to do.
    pub instructions: String,
}

/// A heartbeat over HTTPS; also how a stored key is verified at start. Everything in it is optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct HeartbeatRequest {
    /// `active`, `degraded` or `error`.
    pub status: String,
    /// The agent's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatResponse {
    /// Always true.
    pub success: bool,
    /// The satellite's status as the server has it: `active` or `inactive`.
    pub status: String,
    /// The version of its configuration.
    pub config_version: u64,
}
