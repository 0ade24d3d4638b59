//! How our types are bound to a statement.

use std::fmt::Display;

use hive_wire::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{AssertSqlSafe, query};

use crate::store::sql::Value;

pub(super) type Query = query::Query<'static, Sqlite, SqliteArguments>;

pub(super) trait Bind: Sized {
    /// An id, a name: what is text by its `Display`.
    fn text(self, value: impl Display) -> Self;
    fn text_opt(self, value: Option<impl Display>) -> Self;
    /// An enum that is one word in JSON.
    fn word(self, value: impl Serialize) -> Self;
    fn word_opt(self, value: Option<impl Serialize>) -> Self;
    fn json(self, value: &impl Serialize) -> Self;
    fn json_opt(self, value: Option<&impl Serialize>) -> Self;
    fn time(self, value: Timestamp) -> Self;
    fn time_opt(self, value: Option<Timestamp>) -> Self;
    /// A count or size; beyond `i64` it is cut to the largest there is.
    fn number(self, value: impl TryInto<i64>) -> Self;
    fn number_opt(self, value: Option<impl TryInto<i64>>) -> Self;
}

impl Bind for Query {
    fn text(self, value: impl Display) -> Self {
        self.bind(value.to_string())
    }

    fn text_opt(self, value: Option<impl Display>) -> Self {
        self.bind(value.map(|value| value.to_string()))
    }

    fn word(self, value: impl Serialize) -> Self {
        self.bind(word_of(value))
    }

    fn word_opt(self, value: Option<impl Serialize>) -> Self {
        self.bind(value.map(word_of))
    }

    fn json(self, value: &impl Serialize) -> Self {
        self.bind(json(value))
    }

    fn json_opt(self, value: Option<&impl Serialize>) -> Self {
        self.bind(value.map(json))
    }

    fn time(self, value: Timestamp) -> Self {
        self.bind(value.as_micros())
    }

    fn time_opt(self, value: Option<Timestamp>) -> Self {
        self.bind(value.map(Timestamp::as_micros))
    }

    fn number(self, value: impl TryInto<i64>) -> Self {
        self.bind(value.try_into().unwrap_or(i64::MAX))
    }

    fn number_opt(self, value: Option<impl TryInto<i64>>) -> Self {
        self.bind(value.map(|value| value.try_into().unwrap_or(i64::MAX)))
    }
}

/// A statement put together from texts of `sql`, and its values.
pub(super) fn assembled((text, values): (String, Vec<Value>)) -> Query {
    // Put together from constants; what callers say is in `values` alone.
    values.into_iter().fold(query(AssertSqlSafe(text)), |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
    })
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
