//! API keys.

use serde::{Deserialize, Serialize};

use crate::{ApiKeyId, Timestamp, UserId};

/// The request to create an API key for the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ApiKeyCreate {
    /// What it is for: at most 255 characters, none of them control characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    pub name: String,
    /// When it ends; never unless given.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 87_600))]
    pub expires_in_hours: Option<u32>,
    /// The permissions to which it is limited, such as `satellites.read`; all of its maker's unless given.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<crate::schema::ScopeWord>>, min_items = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The satellites to which it is limited, each as `tag:x`: one of the tags is enough.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<crate::schema::TagSelector>>, min_items = 1, max_items = 32))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satellites: Option<Vec<String>>,
    /// The networks from which it may be used, such as `192.0.2.0/24`, or single addresses.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<crate::schema::NetworkText>>, min_items = 1, max_items = 32))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// The most calls in a minute; unlimited unless given.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
}

/// The request to give an API key another secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ApiKeyRotate {
    /// How long the secret before goes on, in seconds; not at all unless given.
    #[cfg_attr(feature = "openapi", schema(maximum = 604_800))]
    pub overlap_seconds: u32,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKeyInfo {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// Its owner.
    pub user_id: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used. It is stored at most once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// The permissions to which it is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The satellites to which it is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellites: Option<Vec<String>>,
    /// The networks from which it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// The most calls in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// The key with which it was made, and with which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<ApiKeyId>,
    /// Until when the secret before the last rotation goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_until: Option<Timestamp>,
}

/// An API key that was just created.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewApiKey {
    /// Shown once.
    pub api_key: String,
    /// The key without its secret.
    pub info: ApiKeyInfo,
}
