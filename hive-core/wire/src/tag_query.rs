//! Tag queries, which select satellites by their tags: `production AND (web OR api) AND NOT canary`.
//!
//! ```text
//! query = and { "OR" and }
//! and   = not { "AND" not }
//! not   = "NOT" not | "all" | tag | "(" query ")"
//! ```
//!
//! Operators are written in upper case. `NOT` binds tighter than `AND`, and `AND` tighter than `OR`. A tag that is also a word of
//! the grammar stands in double quotes: `"all"`. Nothing here does I/O: a store writes a query as SQL, and [`TagQuery::matches`]
//! says what that SQL must select.

mod parser;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most characters of a query.
pub const MAX_CHARS: usize = 1_000;
/// The most parentheses and `NOT`s that are inside each other.
pub const MAX_DEPTH: usize = 16;
/// The most tags of a query, each counted as often as it is there.
pub const MAX_TERMS: usize = 64;
/// The most characters of a tag.
pub const MAX_TAG_CHARS: usize = 64;

/// A tag query, checked. Its text is written in one form: `(web)AND(api)` reads back as `web AND api`.
///
/// ```
/// use hive_wire::TagQuery;
///
/// let query: TagQuery = "production AND (web OR api) AND NOT canary".parse().unwrap();
/// assert!(query.matches(&["production", "web"]));
/// assert!(!query.matches(&["production", "web", "canary"]));
/// assert_eq!("web AND".parse::<TagQuery>().unwrap_err().position, 8);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagQuery(TagExpr);

/// A part of a tag query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TagExpr {
    /// Every satellite.
    All,
    /// The satellites with this tag.
    Tag(String),
    /// The satellites that the part does not select.
    Not(Box<TagExpr>),
    /// The satellites that all parts select; two or more parts.
    And(Vec<TagExpr>),
    /// The satellites that at least one part selects; two or more parts.
    Or(Vec<TagExpr>),
}

/// Why a text is no tag query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {rule}")]
pub struct InvalidTagQuery {
    /// The character at which the rule is broken, counted from 1.
    pub position: usize,
    /// The rule.
    pub rule: String,
}

/// Whether a text can be a tag: 1 to 64 letters, digits or `-_.:/=@`.
pub fn is_tag(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_TAG_CHARS && text.chars().all(is_tag_char)
}

fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || "-_.:/=@".contains(c)
}

impl TagQuery {
    /// Returns whether the query selects a satellite with these tags.
    pub fn matches<T: AsRef<str>>(&self, tags: &[T]) -> bool {
        self.0.matches(tags)
    }

    /// Returns the query as a tree.
    pub fn expr(&self) -> &TagExpr {
        &self.0
    }
}

impl TagExpr {
    fn matches<T: AsRef<str>>(&self, tags: &[T]) -> bool {
        match self {
            Self::All => true,
            Self::Tag(tag) => tags.iter().any(|other| other.as_ref() == tag),
            Self::Not(part) => !part.matches(tags),
            Self::And(parts) => parts.iter().all(|part| part.matches(tags)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(tags)),
        }
    }

    fn has_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::Tag(_) => false,
            Self::Not(part) => part.has_all(),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::has_all),
        }
    }

    /// How tight the part binds: `OR` least.
    fn precedence(&self) -> u8 {
        match self {
            Self::Or(_) => 0,
            Self::And(_) => 1,
            Self::Not(_) => 2,
            Self::All | Self::Tag(_) => 3,
        }
    }

    /// Writes the part, in parentheses if it binds less tight than its surroundings need.
    fn write(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        if self.precedence() < least {
            f.write_str("(")?;
            self.write(f, 0)?;
            return f.write_str(")");
        }
        match self {
            Self::All => f.write_str(parser::ALL),
            Self::Tag(tag) if parser::is_reserved(tag) => write!(f, "\"{tag}\""),
            Self::Tag(tag) => f.write_str(tag),
            Self::Not(part) => {
                f.write_str("NOT ")?;
                part.write(f, 2)
            }
            Self::And(parts) => write_joined(f, parts, " AND ", 2),
            Self::Or(parts) => write_joined(f, parts, " OR ", 1),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[TagExpr], operator: &str, least: u8) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(operator)?;
        }
        part.write(f, least)?;
    }
    Ok(())
}

impl FromStr for TagQuery {
    type Err = InvalidTagQuery;

    fn from_str(text: &str) -> Result<Self, InvalidTagQuery> {
        let query = Self(parser::parse(text)?);
        // A query that only excludes selects satellites that nobody thought of, such as one without any tag.
        if !query.0.has_all() && query.0.matches::<&str>(&[]) {
            let rule = "a query that only excludes needs `all AND …`".into();
            return Err(InvalidTagQuery { position: 1, rule });
        }
        // The text that is stored has spaces that the given one may lack, and must read back too.
        parser::check_length(&query.to_string())?;
        Ok(query)
    }
}

impl fmt::Display for TagQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, 0)
    }
}

impl TryFrom<String> for TagQuery {
    type Error = InvalidTagQuery;

    fn try_from(text: String) -> Result<Self, InvalidTagQuery> {
        text.parse()
    }
}

impl From<TagQuery> for String {
    fn from(query: TagQuery) -> Self {
        query.to_string()
    }
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    TagQuery => crate::schema::text()
        .description(Some("A query of tags, with `AND`, `OR`, `NOT`, parentheses and `all`."))
        .min_length(Some(1))
        .max_length(Some(MAX_CHARS))
        .examples(["production AND (web OR api) AND NOT canary"]);
}
