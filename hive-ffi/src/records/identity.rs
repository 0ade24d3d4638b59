//! Users, teams, API keys and registration tokens.

use std::time::SystemTime;

use hive_core::wire::api;

use super::convert::{enum_text, system_time};

/// A person who may log in.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct User {
    /// Their id.
    pub id: String,
    /// The login name.
    pub username: String,
    /// `global_admin` or `global_user`.
    pub role: String,
    /// When they were added.
    pub created_at: SystemTime,
    /// Since when neither their logins nor their keys are taken.
    pub disabled_at: Option<SystemTime>,
}

impl From<api::User> for User {
    fn from(user: api::User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username,
            role: enum_text(&user.role),
            created_at: system_time(user.created_at),
            disabled_at: user.disabled_at.map(system_time),
        }
    }
}

/// A user as they were just added.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct NewUser {
    /// Who.
    pub user: User,
    /// Told once, and nowhere else.
    pub password: String,
}

impl From<api::NewUser> for NewUser {
    fn from(created: api::NewUser) -> Self {
        Self { user: created.user.into(), password: created.password.0 }
    }
}

/// Somebody in a team.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct TeamMember {
    /// Who.
    pub user_id: String,
    /// Their login name.
    pub username: String,
    /// `viewer`, `operator` or `admin`.
    pub role: String,
}

impl From<api::TeamMember> for TeamMember {
    fn from(member: api::TeamMember) -> Self {
        Self { user_id: member.user_id.to_string(), username: member.username, role: enum_text(&member.role) }
    }
}

/// Who the caller is.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Me {
    /// The user, or the owner of the API key.
    pub user: User,
    /// The API key the call came with.
    pub api_key_id: Option<String>,
}

impl From<api::Me> for Me {
    fn from(me: api::Me) -> Self {
        Self { user: me.user.into(), api_key_id: me.api_key_id.map(|key| key.to_string()) }
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Team {
    /// Its id.
    pub id: String,
    /// Its short name, unique.
    pub slug: String,
    /// When it was made.
    pub created_at: SystemTime,
}

impl From<api::Team> for Team {
    fn from(team: api::Team) -> Self {
        Self { id: team.id.to_string(), slug: team.slug, created_at: system_time(team.created_at) }
    }
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Whose it is.
    pub user_id: String,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it ends.
    pub expires_at: Option<SystemTime>,
    /// When it was revoked.
    pub revoked_at: Option<SystemTime>,
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
        }
    }
}

/// An API key as it was just made.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct NewApiKey {
    /// Told once, and nowhere else.
    pub api_key: String,
    /// The rest of it.
    pub info: ApiKey,
}

impl From<api::NewApiKey> for NewApiKey {
    fn from(key: api::NewApiKey) -> Self {
        Self { api_key: key.api_key, info: key.info.into() }
    }
}

/// A registration token as it was just made.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct NewRegistrationToken {
    /// Told once, and nowhere else: for one satellite's registration.
    pub token: String,
    /// Its id.
    pub id: String,
    /// When it ends.
    pub expires_at: SystemTime,
}

impl From<api::NewRegistrationToken> for NewRegistrationToken {
    fn from(token: api::NewRegistrationToken) -> Self {
        Self { token: token.token, id: token.token_id.to_string(), expires_at: system_time(token.expires_at) }
    }
}

/// A registration token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RegistrationToken {
    /// Its id.
    pub id: String,
    /// The team it registers for; the whole hive where there is none.
    pub team_id: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it ends.
    pub expires_at: SystemTime,
    /// When a satellite registered with it.
    pub used_at: Option<SystemTime>,
    /// When it was revoked.
    pub revoked_at: Option<SystemTime>,
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
        }
    }
}
