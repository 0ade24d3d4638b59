//! Binding of our types to the placeholders of a statement.

use std::borrow::Cow;
use std::fmt::Display;

use bytes::Bytes;
use hive_wire::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

/// An SQL statement: its text with the placeholders `$1`, `$2`, …, and their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// A constant, or put together from constants. Input is in `values` only.
    pub(crate) text: Cow<'static, str>,
    /// The values in the order of the placeholders.
    pub(crate) values: Vec<Value>,
}

/// A value of a placeholder. NULL has a type too, because PostgreSQL needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Bool(Option<bool>),
    Bytes(Option<Bytes>),
}

impl Statement {
    /// A statement without values.
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), values: Vec::new() }
    }

    /// A statement without a text, of which only the values are used.
    pub(super) fn values_only() -> Self {
        Self::new("")
    }

    /// Binds the next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Binds a type that is stored as its `Display`, such as an id.
    pub(super) fn text(self, value: impl Display) -> Self {
        self.bind(value.to_string())
    }

    pub(super) fn text_opt(self, value: Option<impl Display>) -> Self {
        self.bind(value.map(|value| value.to_string()))
    }

    /// Binds an enum that is a JSON string.
    pub(super) fn string_enum(self, value: impl Serialize) -> Self {
        self.bind(enum_string(value))
    }

    pub(super) fn string_enum_opt(self, value: Option<impl Serialize>) -> Self {
        self.bind(value.map(enum_string))
    }

    pub(super) fn json(self, value: &impl Serialize) -> Self {
        self.bind(json(value))
    }

    pub(super) fn json_opt(self, value: Option<&impl Serialize>) -> Self {
        self.bind(value.map(json))
    }

    pub(super) fn time(self, value: Timestamp) -> Self {
        self.bind(value.as_micros())
    }

    pub(super) fn time_opt(self, value: Option<Timestamp>) -> Self {
        self.bind(Value::Integer(value.map(Timestamp::as_micros)))
    }

    /// Binds a count or size. A value beyond the range of `i64` is bound as `i64::MAX`.
    pub(super) fn number(self, value: impl TryInto<i64>) -> Self {
        // Only limits and durations can be that large, and the largest value has the same effect.
        self.bind(value.try_into().unwrap_or(i64::MAX))
    }

    pub(super) fn number_opt(self, value: Option<impl TryInto<i64>>) -> Self {
        self.bind(Value::Integer(value.map(|value| value.try_into().unwrap_or(i64::MAX))))
    }
}

impl Value {
    /// Returns NULL of the same type.
    pub(super) fn to_null(&self) -> Self {
        match self {
            Self::Text(_) => Self::Text(None),
            Self::Integer(_) => Self::Integer(None),
            Self::Bool(_) => Self::Bool(None),
            Self::Bytes(_) => Self::Bytes(None),
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(storable(text)))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(storable))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map(str::to_owned).into()
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(Some(flag))
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(Some(bytes))
    }
}

/// Replaces zero bytes, which PostgreSQL cannot store. SQLite stores the same text, so that a backup of one can be restored to
/// the other.
pub(super) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The string of an enum that is a JSON string.
pub(super) fn enum_string(value: impl Serialize) -> String {
    // Through JSON, so that the names of the enum are declared once, by serde.
    match serde_json::to_value(value) {
        Ok(Json::String(word)) => word,
        _ => unreachable!("bound as a JSON string, and is none"),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is stored as JSON is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_byte_in_a_text_is_replaced() {
        let values = Statement::new("").text("plain").text("a\0b").text_opt(None::<&str>).values;
        let expected = [Some("plain"), Some("a\u{fffd}b"), None].map(|text| Value::Text(text.map(str::to_owned)));
        assert_eq!(values, expected);
    }

    #[test]
    fn a_number_beyond_the_range_is_the_largest() {
        let values = Statement::new("").number(u64::MAX).number_opt(Some(7_u8)).values;
        assert_eq!(values, [Value::Integer(Some(i64::MAX)), Value::Integer(Some(7))]);
    }
}
