//! The names of groups: 1 to 32 characters of `[a-z0-9_-]`.

use crate::GroupId;
use crate::name_rule::{NameFault, check, checked_name};

/// The most characters of a group name.
pub const MAX_LEN: usize = 32;

checked_name! {
    /// A group's name, checked. It never has the form of an id.
    GroupName, InvalidGroupName
}

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

impl TryFrom<String> for GroupName {
    type Error = InvalidGroupName;

    fn try_from(text: String) -> Result<Self, InvalidGroupName> {
        check(&text, 1..=MAX_LEN).map_err(|NameFault { value, length, character }| match character {
            Some(character) => InvalidGroupName::Character { value, character },
            None => InvalidGroupName::Length { value, length },
        })?;
        if text.parse::<GroupId>().is_ok() {
            return Err(InvalidGroupName::Id(text));
        }
        Ok(Self(text))
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
