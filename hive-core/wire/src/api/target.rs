//! The targets of a command.

use std::fmt;
use std::str::FromStr;

use super::GroupRef;
use crate::{InvalidGroupName, InvalidTagQuery, SatelliteId, SatelliteName, TagQuery};

/// The most characters of a refused target that its error repeats.
const SHOWN: usize = 64;

/// A target of a command: one satellite, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All satellites that the caller may use and that were activated once, including those in maintenance.
    All,
    /// All of them with this tag.
    Tag(String),
    /// All of them that this query selects.
    Query(TagQuery),
    /// The satellites of this group.
    Group(GroupRef),
    /// The satellite with this id.
    Id(SatelliteId),
    /// The satellite with this name.
    Name(SatelliteName),
}

/// A text that is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// It has no form of a target. The text is cut where it is long.
    #[error("{0:?} is no target: give all, tag:x, group:x, query:…, a satellite's id or its name")]
    Form(String),
    /// What stands behind `group:` is neither an id nor a name.
    #[error("group:{0}")]
    Group(InvalidGroupName),
    /// What stands behind `query:` is no tag query.
    #[error("query: {0}")]
    Query(InvalidTagQuery),
}

impl Target {
    /// Whether the target is one satellite, whatever is stored.
    pub fn is_one(&self) -> bool {
        matches!(self, Self::Id(_) | Self::Name(_))
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let refused = || InvalidTarget::Form(text.chars().take(SHOWN).collect());
        match text.split_once(':') {
            Some(("tag", "")) => Err(refused()),
            Some(("tag", tag)) => Ok(Self::Tag(tag.to_owned())),
            Some(("group", group)) => group.parse().map(Self::Group).map_err(InvalidTarget::Group),
            Some(("query", query)) => query.parse().map(Self::Query).map_err(InvalidTarget::Query),
            _ if text == "all" => Ok(Self::All),
            // The id first: every id also has the form of a name.
            _ => text.parse().map(Self::Id).or_else(|_| text.try_into().map(Self::Name)).map_err(|_| refused()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
            Self::Query(query) => write!(f, "query:{query}"),
            Self::Group(group) => write!(f, "group:{group}"),
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GroupId;
    use crate::id::Seed;

    fn check_read(text: &str, expected: &Target) {
        assert_eq!(text.parse::<Target>().as_ref(), Ok(expected), "{text}");
        assert_eq!(expected.to_string().parse::<Target>().as_ref(), Ok(expected), "{text}");
    }

    #[test]
    fn every_form_of_a_target_reads_back() {
        let (satellite, group) = (Seed { unix_millis: 1, random: [1; 10] }, Seed { unix_millis: 2, random: [1; 10] });
        let (satellite, group) = (SatelliteId::new(satellite), GroupId::new(group));
        check_read("all", &Target::All);
        check_read("tag:a:b", &Target::Tag("a:b".into()));
        check_read("group:web", &Target::Group(GroupRef::Name("web".try_into().unwrap())));
        check_read(&format!("group:{group}"), &Target::Group(GroupRef::Id(group)));
        check_read("query:web AND(NOT canary)", &Target::Query("web AND NOT canary".parse().unwrap()));
        check_read(&satellite.to_string(), &Target::Id(satellite));
        check_read("web-server-01", &Target::Name("web-server-01".try_into().unwrap()));
    }

    #[test]
    fn a_refusal_says_why() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check("tag:", "is no target");
        check("web", "group:x, query:");
        check("group:", "1 to 32");
        check("group:Web", "'W'");
        check("query:web AND", "query: at character 8: ");
        check("query:NOT web", "all AND");
    }
}
