//! The names of groups: 1 to 32 characters of `[a-z0-9_-]`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::GroupId;

/// The most characters of a group name.
pub const MAX_LEN: usize = 32;

/// A group's name, checked. It never has the form of an id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

/// Why a text is no group name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGroupName {
    /// Too short or too long.
    #[error("group name {value:?} has {length} characters; it must have 1 to {MAX_LEN} of a-z, 0-9, '-' and '_'")]
    Length {
        /// The refused text, cut where it is very long.
        value: String,
        /// Its length in characters.
        length: usize,
    },
    /// A character that names may not have.
    #[error(
        "group name {value:?} contains {character:?}; only a-z, 0-9, '-' and '_' are allowed, 1 to {MAX_LEN} of them"
    )]
    Character {
        /// The refused text, cut where it is very long.
        value: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// The form of an id. A target could not tell the two apart.
    #[error("group name {0:?} has the form of an id; choose another one of 1 to {MAX_LEN} characters")]
    Id(String),
}

impl GroupName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GroupName {
    type Error = InvalidGroupName;

    fn try_from(text: String) -> Result<Self, InvalidGroupName> {
        let length = text.chars().count();
        // Cut, as the message goes to logs and callers and the text may have any length.
        let value = || text.chars().take(2 * MAX_LEN).collect();
        let is_allowed = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
        if let Some(character) = text.chars().find(|c| !is_allowed(c)) {
            return Err(InvalidGroupName::Character { value: value(), character });
        }
        if !(1..=MAX_LEN).contains(&length) {
            return Err(InvalidGroupName::Length { value: value(), length });
        }
        if text.parse::<GroupId>().is_ok() {
            return Err(InvalidGroupName::Id(text));
        }
        Ok(Self(text))
    }
}

impl TryFrom<&str> for GroupName {
    type Error = InvalidGroupName;

    fn try_from(text: &str) -> Result<Self, InvalidGroupName> {
        text.to_owned().try_into()
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    GroupName => crate::schema::text()
        .description(Some("The name of a group. It never has the form of an id."))
        .min_length(Some(1))
        .max_length(Some(MAX_LEN))
        .pattern(Some("^[a-z0-9_-]+$"))
        .examples(["web"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Seed;

    #[test]
    fn names_follow_the_rule() {
        for good in ["web", "a", "_-0", &"a".repeat(32)] {
            assert_eq!(GroupName::try_from(good).unwrap().as_str(), good);
        }
        let id = GroupId::new(Seed { unix_millis: 1, random: [1; 10] }).to_string();
        for (bad, part) in
            [("", "0 characters"), (&"a".repeat(33), "33"), ("web 1", "' '"), ("Web", "'W'"), (&id, "id")]
        {
            let error = GroupName::try_from(bad).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("1 to 32"), "{error}");
        }
    }
}
