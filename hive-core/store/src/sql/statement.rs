//! A statement and how our types are bound to it.

use std::borrow::Cow;
use std::fmt::Display;

use bytes::Bytes;
use hive_wire::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

/// A statement of an SQL database: its text, with `$N` from 1, and the values for these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// One of our texts, or put together from them: what callers say is in `values` alone.
    pub(crate) text: Cow<'static, str>,
    /// The values in the order of their places.
    pub(crate) values: Vec<Value>,
}

/// A value of a statement. What is missing has a type too: a database may want to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Flag(Option<bool>),
    Bytes(Option<Bytes>),
}

impl Statement {
    /// A statement whose values are still to be bound.
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), values: Vec::new() }
    }

    /// Binds the next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// An id, a name: what is text by its `Display`.
    pub(super) fn text(self, value: impl Display) -> Self {
        self.bind(value.to_string())
    }

    pub(super) fn text_opt(self, value: Option<impl Display>) -> Self {
        self.bind(value.map(|value| value.to_string()))
    }

    /// An enum that is one word in JSON.
    pub(super) fn word(self, value: impl Serialize) -> Self {
        self.bind(word_of(value))
    }

    pub(super) fn word_opt(self, value: Option<impl Serialize>) -> Self {
        self.bind(value.map(word_of))
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
        self.bind(Value::Number(value.map(Timestamp::as_micros)))
    }

    /// A count or size; beyond `i64` it is cut to the largest there is.
    pub(super) fn number(self, value: impl TryInto<i64>) -> Self {
        self.bind(value.try_into().unwrap_or(i64::MAX))
    }

    pub(super) fn number_opt(self, value: Option<impl TryInto<i64>>) -> Self {
        self.bind(Value::Number(value.map(|value| value.try_into().unwrap_or(i64::MAX))))
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
        Self::Number(Some(number))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(Some(flag))
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(Some(bytes))
    }
}

/// The text as every database takes it: PostgreSQL knows no zero byte, so that none of them gets one.
pub(super) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The word of an enum that is one word in JSON.
pub(super) fn word_of(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Json::String(word)) => word,
        _ => unreachable!("bound as a word, and is none in JSON"),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is stored as JSON is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_an_end_in_it_stays_as_it_is() {
        let values = Statement::new("").text("plain").text("a\0b").text_opt(None::<&str>).values;
        let expected = [Some("plain"), Some("a\u{fffd}b"), None].map(|text| Value::Text(text.map(str::to_owned)));
        assert_eq!(values, expected);
    }

    #[test]
    fn a_number_beyond_all_bounds_is_the_largest_there_is() {
        let values = Statement::new("").number(u64::MAX).number_opt(Some(7_u8)).values;
        assert_eq!(values, [Value::Number(Some(i64::MAX)), Value::Number(Some(7))]);
    }
}
