//! Groups of satellites, and tags with their counts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::exec_body::{ExecBody, NoTargets, UnknownField};
use super::satellite::given;
use crate::api::ExecCommand;
use crate::{GroupId, GroupName, InvalidGroupName, SatelliteId, TagQuery, TeamId, Timestamp};

/// The most satellites that a group may list.
pub const MAX_GROUP_MEMBERS: usize = 10_000;

/// A group: satellites that it lists, and those that its tag query selects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name, unique in its team, or among the groups without one.
    pub name: GroupName,
    /// Its team. It has satellites of its team only; without a team, those of the whole hive.
    pub team_id: Option<TeamId>,
    /// The tag query.
    pub query: Option<TagQuery>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A group with its satellites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupDetails {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// The satellites that it lists (its static members), by name. Those that were removed or moved to another team are left out.
    pub members: Vec<SatelliteId>,
    /// The number of satellites of the group now: listed, or selected by the query.
    pub satellite_count: u64,
}

/// The request to create a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupCreate {
    /// Its name.
    pub name: GroupName,
    /// Its team; none for a group of the whole hive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// Its tag query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<TagQuery>,
    /// The satellites that it lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<SatelliteId>,
}

impl GroupCreate {
    /// A group without a team, query and members.
    pub fn new(name: GroupName) -> Self {
        Self { name, team_id: None, query: None, members: Vec::new() }
    }
}

/// A change of a group. Fields that are not there stay. Its team never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct GroupUpdate {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<GroupName>,
    /// A new tag query, or `null` for none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TagQuery>))]
    pub query: Option<Option<TagQuery>>,
    /// All satellites that it lists from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<SatelliteId>>,
    /// Satellites that it lists too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_members: Vec<SatelliteId>,
    /// Satellites that it lists no more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_members: Vec<SatelliteId>,
}

/// A filter of groups, and the query of `GET /groups` besides the page. All conditions that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct GroupFilter {
    /// Only groups of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// Only groups whose name contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
}

/// The request to run a command on the satellites of a group: as [`ExecManyRequest`](super::ExecManyRequest), without targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ExecBody<NoTargets>")]
pub struct ExecGroupRequest {
    /// The most that run at the same time; 64 unless given, at most [`MAX_IN_FLIGHT`](super::MAX_IN_FLIGHT).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The number of satellites that the caller expects. Where the group has another number, nothing is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    /// What to run.
    #[serde(flatten)]
    pub command: ExecCommand,
}

impl TryFrom<ExecBody<NoTargets>> for ExecGroupRequest {
    type Error = UnknownField;

    fn try_from(body: ExecBody<NoTargets>) -> Result<Self, UnknownField> {
        let ExecBody { concurrency, confirm, deadline_seconds, .. } = body;
        // A call that waits has no deadline.
        if deadline_seconds.is_some() {
            return Err(UnknownField("deadline_seconds"));
        }
        let (NoTargets, command) = body.parts()?;
        Ok(Self { concurrency, confirm, command })
    }
}

/// A group as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GroupRef {
    /// By its id.
    Id(GroupId),
    /// By its name.
    Name(GroupName),
}

impl FromStr for GroupRef {
    type Err = InvalidGroupName;

    fn from_str(text: &str) -> Result<Self, InvalidGroupName> {
        text.parse().map(Self::Id).or_else(|_| text.try_into().map(Self::Name))
    }
}

impl TryFrom<String> for GroupRef {
    type Error = InvalidGroupName;

    fn try_from(text: String) -> Result<Self, InvalidGroupName> {
        text.parse()
    }
}

impl From<GroupRef> for String {
    fn from(group: GroupRef) -> Self {
        group.to_string()
    }
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    GroupRef => crate::schema::text().description(Some("The id or the name of a group."));
}

impl fmt::Display for GroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// A tag, and how many satellites of the caller's have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TagCount {
    /// The tag.
    pub tag: String,
    /// The number of satellites.
    pub satellites: u64,
}

/// A filter of tags, and the query of `GET /tags` besides the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct TagFilter {
    /// Only tags that contain this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Only tags of satellites of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_for_a_group_has_no_targets() {
        let read = |text: &str| serde_json::from_str::<ExecGroupRequest>(text).map_err(|error| error.to_string());
        let request = read(r#"{"command":"uptime","confirm":2}"#).unwrap();
        assert_eq!((request.command.command.as_str(), request.confirm), ("uptime", Some(2)));
        let check = |text: &str, part: &str| assert!(read(text).unwrap_err().contains(part), "{text}");
        check(r#"{"targets":["all"],"command":"true"}"#, "`targets`");
        check(r#"{"command":"true","deadline_seconds":3}"#, "`deadline_seconds`");
        check(r#"{"confirm":2}"#, "`command`");
    }

    #[test]
    fn a_query_that_is_null_is_not_a_query_that_is_missing() {
        let read = |text: &str| serde_json::from_str::<GroupUpdate>(text).unwrap().query;
        assert_eq!((read("{}"), read(r#"{"query":null}"#)), (None, Some(None)));
        assert_eq!(read(r#"{"query":"web"}"#), Some(Some("web".parse().unwrap())));
    }
}
