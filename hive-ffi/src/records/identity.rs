//! Users and teams.

use std::time::SystemTime;

use hive_core::wire::api;

use super::Secret;
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
    /// Since when their logins and API keys are refused.
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

/// A new user. This is the only time that their password is shown.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct NewUser {
    /// The user.
    pub user: User,
    /// Their password.
    pub password: Secret,
}

impl From<api::NewUser> for NewUser {
    fn from(created: api::NewUser) -> Self {
        Self { user: created.user.into(), password: Secret(created.password.0) }
    }
}

/// A member of a team.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct TeamMember {
    /// The id of the user.
    pub user_id: String,
    /// The login name.
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
    /// The id of the API key that authenticated the call.
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
