//! Teams, their members, and where they may be used from.

use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::Role;
use crate::open::{known, known_opt};
use crate::{TeamId, Timestamp, UserId, open_enum};

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its short name, unique.
    pub slug: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the members with the role `team_user` may do: `operator` or `viewer`.
    #[serde(default = "Role::least")]
    pub team_user: Role,
}

/// A change of a team. Fields that are not given stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TeamUpdate {
    /// What the members with the role `team_user` may do from now on: `operator` or `viewer`.
    #[cfg_attr(feature = "openapi", schema(schema_with = team_user_schema))]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known_opt")]
    pub team_user: Option<Role>,
}

/// The schema of what `team_user` may mean.
#[cfg(feature = "openapi")]
fn team_user_schema() -> utoipa::openapi::schema::Object {
    crate::schema::text().enum_values(Some(["operator", "viewer"])).build()
}

/// The request to create a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TeamCreate {
    /// Its short name: 1 to 32 characters of `[a-z0-9-]`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9-]{1,32}$"))]
    pub slug: String,
}

/// The networks from which a team may be used, or from which a satellite may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AllowList {
    /// The networks, in CIDR notation; `null` for no limit.
    pub addresses: Option<Vec<String>>,
}

/// A change of an allow list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AllowListUpdate {
    /// All networks, such as `192.0.2.0/24` or `2001:db8::/32`, or single addresses: 1 to 32 of them. `null` lifts the limit.
    // With a function serde misses the field: a change that names no networks must not lift the limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub addresses: Option<Vec<String>>,
    /// Sets the list although it excludes the address of the caller, or of the link that the satellite has now.
    #[serde(default)]
    pub force: bool,
}

open_enum! {
    /// A role in a team as roles of the platform are named.
    pub enum TeamRole {
        /// [`Role::Admin`] in the team.
        TeamAdmin = "team_admin",
        /// [`Role::Operator`] or [`Role::Viewer`] in the team.
        TeamUser = "team_user",
    }
}

impl From<&Role> for TeamRole {
    fn from(role: &Role) -> Self {
        match role {
            Role::Admin => Self::TeamAdmin,
            Role::Operator | Role::Viewer => Self::TeamUser,
            Role::Unknown(word) => Self::Unknown(word.clone()),
        }
    }
}

/// A member of a team. Its JSON has the role under both names: `role` and `team_role`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "TeamMemberJson")]
pub struct TeamMember {
    /// The user.
    pub user_id: UserId,
    /// Their login name.
    pub username: String,
    /// Their role in the team now.
    pub role: Role,
    /// Whether the role is what the team says of `team_user`, and changes with that.
    #[serde(default)]
    pub follows_team: bool,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct TeamMemberJson {
    /// The user.
    user_id: UserId,
    /// Their login name.
    username: String,
    /// Their role in the team.
    role: Role,
    /// The role as roles of the platform are named.
    team_role: TeamRole,
    /// Whether the role is what the team says of `team_user`, and changes with that; only where it does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    follows_team: bool,
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for TeamMember {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        TeamMemberJson::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for TeamMember {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        TeamMemberJson::schemas(schemas);
    }
}

impl From<TeamMember> for TeamMemberJson {
    fn from(member: TeamMember) -> Self {
        let TeamMember { user_id, username, role, follows_team } = member;
        Self { user_id, username, team_role: TeamRole::from(&role), role, follows_team }
    }
}

/// The request to add a user to a team, or to change the role of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TeamMemberPut {
    /// Their login name: the admin of a team may not list all users and their ids.
    pub username: String,
    /// Their role. `team_admin` is read as `admin`. `team_user` is what the team says of it (`Team::team_user`), now and later.
    #[cfg_attr(feature = "openapi", schema(schema_with = role_schema))]
    #[serde(deserialize_with = "role_in_team")]
    pub role: Role,
}

/// The schema of a role in a team, by either of its names.
#[cfg(feature = "openapi")]
fn role_schema() -> utoipa::openapi::schema::Object {
    use crate::open::OpenEnum as _;

    crate::schema::text().enum_values(Some(Role::WORDS.iter().chain(TeamRole::WORDS).copied())).build()
}

fn role_in_team<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let word = String::deserialize(deserializer)?;
    match TeamRole::from(word.as_str()) {
        TeamRole::TeamAdmin => Ok(Role::Admin),
        TeamRole::TeamUser => Ok(Role::of_team_user()),
        TeamRole::Unknown(_) => known(word.into_deserializer()),
    }
}
