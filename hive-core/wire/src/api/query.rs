//! Queries of the REST API. A client writes them and a server reads them as [`crate::query`] says.
//!
//! Lists are paged by [`PageRequest`](super::PageRequest), sessions filtered by [`SessionFilter`](super::SessionFilter) and
//! audit records by [`AuditQuery`](super::AuditQuery).

use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{EventCursor, GroupRef, OutputEncoding, SatelliteFilter, SatelliteStatus};
use crate::agent::Channel;
use crate::open::known;
use crate::{TeamId, UserId};

/// The query of `GET /satellites`, besides the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct SatelliteListQuery {
    /// Only satellites with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusFilter>,
    /// Only satellites that are online, or offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// Only satellites with all of these tags.
    pub tag: Vec<String>,
    /// Only satellites whose name or host name contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Only satellites of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// Only satellites that this group has now, by its id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupRef>,
}

/// The `status` of [`SatelliteListQuery`]. The API has the two states of the link among the statuses of a satellite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusFilter {
    /// With a link. It takes precedence over `online`.
    Online,
    /// Without a link. It takes precedence over `online`.
    Offline,
    /// With a status that was set.
    Status(SatelliteStatus),
}

impl Serialize for StatusFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Online => serializer.serialize_str("online"),
            Self::Offline => serializer.serialize_str("offline"),
            Self::Status(status) => status.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StatusFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.as_str() {
            "online" => Ok(Self::Online),
            "offline" => Ok(Self::Offline),
            _ => known(word.into_deserializer()).map(Self::Status),
        }
    }
}

impl From<SatelliteFilter> for SatelliteListQuery {
    fn from(filter: SatelliteFilter) -> Self {
        let SatelliteFilter { online, status, tags, search, team_id, group } = filter;
        Self { status: status.map(StatusFilter::Status), online, tag: tags, search, team: team_id, group }
    }
}

impl From<SatelliteListQuery> for SatelliteFilter {
    fn from(query: SatelliteListQuery) -> Self {
        let SatelliteListQuery { status, online, tag, search, team, group } = query;
        // `status=online` is about the link, and has its place in `online`.
        let (status, online) = match status {
            Some(StatusFilter::Online) => (None, Some(true)),
            Some(StatusFilter::Offline) => (None, Some(false)),
            Some(StatusFilter::Status(status)) => (Some(status), online),
            None => (None, online),
        };
        Self { online, status, tags: tag, search, team_id: team, group }
    }
}

/// The query of `GET /satellites/{id}/sessions`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct SatelliteSessionsQuery {
    /// Also sessions that have ended.
    pub ended: bool,
}

/// The query of `POST /satellites/{id}/exec` and `/satellites/{id}/power`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ExecQuery {
    /// `false` to answer as soon as the command is stored; at its end unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// How output is encoded in the answer.
    pub encoding: OutputEncoding,
}

/// The query of `POST /exec` and `/groups/{id}/exec`, which is an [`ExecQuery`] that always waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ExecManyQuery {
    /// Only `true`: what is not waited for is a job.
    #[cfg_attr(feature = "openapi", schema(schema_with = only_true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// How output is encoded in the answer.
    pub encoding: OutputEncoding,
}

#[cfg(feature = "openapi")]
fn only_true() -> utoipa::openapi::Object {
    use utoipa::openapi::schema::{ObjectBuilder, Type};

    let description = "Only `true`: what is not waited for is a job.";
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).description(Some(description)).build()
}

/// The query of `GET /commands/{id}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct CommandQuery {
    /// How output is encoded in the answer.
    pub encoding: OutputEncoding,
}

/// The query of `GET /api-keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ApiKeyFilter {
    /// The owner; the caller unless given. The keys of others need `api_keys.any`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
}

/// The query of `GET /commands/{id}/output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct OutputQuery {
    /// Which output; standard output unless given.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::known_words::<Channel>))]
    #[serde(deserialize_with = "known")]
    pub channel: Channel,
    /// The first byte.
    pub offset: u64,
    /// The most bytes; all unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl Default for OutputQuery {
    fn default() -> Self {
        Self { channel: Channel::Stdout, offset: 0, limit: None }
    }
}

/// The query of `GET /events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct EventQuery {
    /// Begin behind this position instead of now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<EventCursor>,
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    StatusFilter => crate::schema::text()
        .description(Some("A status of a satellite, or whether it has a link."))
        .enum_values(Some(["online", "offline"].into_iter().chain(<SatelliteStatus as crate::open::OpenEnum>::WORDS.iter().copied())));
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::super::{AuditQuery, PageRequest, SatelliteSort, SessionFilter};
    use super::*;
    use crate::id::Seed;
    use crate::query::{QueryDeserializer, to_pairs};
    use crate::{SatelliteId, Timestamp};

    const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

    fn check<T: Debug + PartialEq + Default + Serialize + DeserializeOwned>(query: T) {
        for query in [query, T::default()] {
            let pairs = to_pairs(&query).unwrap();
            assert_eq!(T::deserialize(QueryDeserializer::new(pairs.clone())).unwrap(), query, "{pairs:?}");
        }
    }

    #[test]
    fn each_query_reads_back() {
        for status in [StatusFilter::Online, StatusFilter::Offline, StatusFilter::Status(SatelliteStatus::Maintenance)]
        {
            check(SatelliteListQuery {
                status: Some(status),
                online: Some(false),
                tag: vec!["web".into(), "..".into(), "a=b&c".into()],
                search: Some("ä b".into()),
                team: Some(TeamId::new(SEED)),
                group: Some(GroupRef::Name("web".try_into().unwrap())),
            });
        }
        check(EventQuery { after: Some(EventCursor { epoch: u64::MAX, seq: 7 }) });
        check(PageRequest::<SatelliteSort>::numbered(2, 1000));
        let sort = Some("-last_seen".parse().unwrap());
        check(PageRequest::<SatelliteSort> { sort, cursor: Some("AQ".into()), ..PageRequest::default() });
        check(SessionFilter { satellite_id: Some(SatelliteId::new(SEED)), ended: true });
        check(SatelliteSessionsQuery { ended: true });
        check(ExecQuery { wait: Some(false), encoding: OutputEncoding::Base64 });
        check(CommandQuery { encoding: OutputEncoding::Base64 });
        check(OutputQuery { channel: Channel::Stderr, offset: u64::MAX, limit: Some(0) });
        check(AuditQuery {
            actor: Some("anna".into()),
            action: Some("satellite.exec".into()),
            satellite_id: Some(SatelliteId::new(SEED)),
            since: Some(Timestamp::from_micros(1)),
            until: Some(Timestamp::from_micros(1_700_000_000_000_000)),
            seq: Some(7),
        });
    }

    #[test]
    fn a_filter_survives_its_query() {
        let filter = SatelliteFilter {
            online: Some(true),
            status: Some(SatelliteStatus::Active),
            tags: vec!["web".into()],
            search: Some("front".into()),
            team_id: Some(TeamId::new(SEED)),
            group: Some("web".parse().unwrap()),
        };
        assert_eq!(SatelliteFilter::from(SatelliteListQuery::from(filter.clone())), filter);
    }

    #[test]
    fn a_state_of_the_link_is_no_status() {
        let query =
            SatelliteListQuery { status: Some(StatusFilter::Offline), online: Some(true), ..Default::default() };
        let filter = SatelliteFilter::from(query);
        assert_eq!((filter.online, filter.status), (Some(false), None));
    }

    #[test]
    fn an_unknown_status_is_refused() {
        let pairs = [("status".to_owned(), "nonsense".to_owned())];
        let refused = SatelliteListQuery::deserialize(QueryDeserializer::new(pairs)).unwrap_err().to_string();
        assert!(refused.contains("`nonsense`") && refused.contains("`maintenance`"), "{refused}");
    }
}
