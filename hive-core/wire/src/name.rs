//! The names of satellites: 10 to 32 characters of `[a-z0-9_-]`.

use crate::name_rule::{NameFault, check, checked_name};

/// The fewest characters of a satellite name.
pub const MIN_LEN: usize = 10;
/// The most characters of a satellite name.
pub const MAX_LEN: usize = 32;

checked_name! {
    /// A satellite's name, checked.
    SatelliteName, InvalidName
}

/// Why a text is no satellite name. The text says the value, its length and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Too short or too long.
    #[error(
        "satellite name {value:?} has {length} characters; it must have {MIN_LEN} to {MAX_LEN} of a-z, 0-9, '-' and '_'"
    )]
    Length {
        /// The refused text, cut where it is very long.
        value: String,
        /// Its length in characters.
        length: usize,
    },
    /// A character that names may not have.
    #[error(
        "satellite name {value:?} ({length} characters) contains {character:?}; only a-z, 0-9, '-' and '_' are allowed, {MIN_LEN} to {MAX_LEN} of them"
    )]
    Character {
        /// The refused text.
        value: String,
        /// Its length in characters.
        length: usize,
        /// The first character that is not allowed.
        character: char,
    },
}

impl InvalidName {
    /// The same message in German.
    pub fn in_german(&self) -> String {
        match self {
            Self::Length { value, length } => format!(
                "Der Satellitenname {value:?} hat {length} Zeichen; er muss aus {MIN_LEN} bis {MAX_LEN} Zeichen bestehen, erlaubt sind a-z, 0-9, '-' und '_'"
            ),
            Self::Character { value, length, character } => format!(
                "Der Satellitenname {value:?} ({length} Zeichen) enthält {character:?}; erlaubt sind nur a-z, 0-9, '-' und '_', {MIN_LEN} bis {MAX_LEN} Zeichen"
            ),
        }
    }
}

impl TryFrom<String> for SatelliteName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        check(&text, MIN_LEN..=MAX_LEN).map_err(|NameFault { value, length, character }| match character {
            Some(character) => InvalidName::Character { value, length, character },
            None => InvalidName::Length { value, length },
        })?;
        Ok(Self(text))
    }
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    SatelliteName => crate::schema::text()
        .description(Some("The name of a satellite."))
        .min_length(Some(MIN_LEN))
        .max_length(Some(MAX_LEN))
        .pattern(Some("^[a-z0-9_-]+$"))
        .examples(["web-server-01"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), &str>) {
        match (SatelliteName::try_from(text), expected) {
            (Ok(name), Ok(())) => assert_eq!(name.as_str(), text),
            (Err(error), Err(part)) => {
                for said in [error.to_string(), error.in_german()] {
                    assert!(said.contains(part), "{said:?} does not say {part:?}");
                    assert!(said.contains("32"), "{said:?} does not name the rule");
                }
            }
            (got, _) => panic!("{text:?} gave {got:?}"),
        }
    }

    #[test]
    fn names_follow_the_rule() {
        check("web-server-01", Ok(()));
        check("0123456789", Ok(()));
        check(&"a".repeat(32), Ok(()));
        check("_-_-_-_-_-", Ok(()));
        check("", Err("0"));
        check("short", Err("5"));
        check("short", Err("\"short\""));
        check(&"a".repeat(33), Err("33"));
        check("Web-Server-01", Err("'W'"));
        check("web server 01", Err("' '"));
        check("web-server-ä1", Err("'ä'"));
        check("web-server\u{1b}[2J", Err("\\u{1b}"));
    }
}
