//! What the names of satellites and of groups have in common: characters of `[a-z0-9_-]`, a length, and a type that holds only
//! checked names.

use std::ops::RangeInclusive;

/// How a text breaks the rule.
pub(crate) struct NameFault {
    /// The text, cut where it is very long: it goes to logs and callers.
    pub(crate) value: String,
    /// Its length in characters.
    pub(crate) length: usize,
    /// The first character that is not allowed; `None` where the length is at fault.
    pub(crate) character: Option<char>,
}

/// Checks the characters of a text and their number. A wrong character is reported before a wrong length.
pub(crate) fn check(text: &str, lengths: RangeInclusive<usize>) -> Result<(), NameFault> {
    let length = text.chars().count();
    let is_allowed = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    let character = text.chars().find(|c| !is_allowed(c));
    if character.is_none() && lengths.contains(&length) {
        return Ok(());
    }
    Err(NameFault { value: text.chars().take(2 * lengths.end()).collect(), length, character })
}

/// Declares a checked name, which is made by its `TryFrom<String>`.
macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $error:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

pub(crate) use checked_name;
