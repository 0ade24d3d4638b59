//! How our types are read from a row. What does not read is damage, named by its column and never by its value.

use std::str::FromStr;

use hive_wire::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::store::{StoreError, StoreResult};

pub(super) trait Fields {
    fn text(&self, column: &str) -> StoreResult<String>;
    fn text_opt(&self, column: &str) -> StoreResult<Option<String>>;
    fn int(&self, column: &str) -> StoreResult<i64>;
    fn int_opt(&self, column: &str) -> StoreResult<Option<i64>>;
    fn flag(&self, column: &str) -> StoreResult<bool>;
    fn bytes(&self, column: &str) -> StoreResult<Vec<u8>>;

    /// What is text by its `FromStr`.
    fn parse<T: FromStr>(&self, column: &str) -> StoreResult<T> {
        self.text(column)?.parse().map_err(|_| damaged(column))
    }

    fn parse_opt<T: FromStr>(&self, column: &str) -> StoreResult<Option<T>> {
        self.text_opt(column)?.map(|text| text.parse().map_err(|_| damaged(column))).transpose()
    }

    /// An enum that is one word in JSON.
    fn word<T: DeserializeOwned>(&self, column: &str) -> StoreResult<T> {
        serde_json::from_value(Json::String(self.text(column)?)).map_err(|_| damaged(column))
    }

    fn word_opt<T: DeserializeOwned>(&self, column: &str) -> StoreResult<Option<T>> {
        let word = self.text_opt(column)?;
        word.map(|word| serde_json::from_value(Json::String(word)).map_err(|_| damaged(column))).transpose()
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> StoreResult<T> {
        serde_json::from_str(&self.text(column)?).map_err(|_| damaged(column))
    }

    fn json_opt<T: DeserializeOwned>(&self, column: &str) -> StoreResult<Option<T>> {
        self.text_opt(column)?.map(|text| serde_json::from_str(&text).map_err(|_| damaged(column))).transpose()
    }

    fn time(&self, column: &str) -> StoreResult<Timestamp> {
        Ok(Timestamp::from_micros(self.int(column)?))
    }

    fn time_opt(&self, column: &str) -> StoreResult<Option<Timestamp>> {
        Ok(self.int_opt(column)?.map(Timestamp::from_micros))
    }

    fn number<T: TryFrom<i64>>(&self, column: &str) -> StoreResult<T> {
        self.int(column)?.try_into().map_err(|_| damaged(column))
    }

    fn number_opt<T: TryFrom<i64>>(&self, column: &str) -> StoreResult<Option<T>> {
        self.int_opt(column)?.map(|number| number.try_into().map_err(|_| damaged(column))).transpose()
    }
}

impl Fields for SqliteRow {
    fn text(&self, column: &str) -> StoreResult<String> {
        Ok(self.try_get(column)?)
    }

    fn text_opt(&self, column: &str) -> StoreResult<Option<String>> {
        Ok(self.try_get(column)?)
    }

    fn int(&self, column: &str) -> StoreResult<i64> {
        Ok(self.try_get(column)?)
    }

    fn int_opt(&self, column: &str) -> StoreResult<Option<i64>> {
        Ok(self.try_get(column)?)
    }

    fn flag(&self, column: &str) -> StoreResult<bool> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: &str) -> StoreResult<Vec<u8>> {
        Ok(self.try_get(column)?)
    }
}

/// The one number of a row with one column.
pub(super) fn only_number(row: &SqliteRow) -> StoreResult<u64> {
    row.try_get::<i64, _>(0)?.try_into().map_err(|_| damaged("count"))
}

pub(super) fn damaged(column: &str) -> StoreError {
    StoreError::Damaged(format!("{column} cannot be read"))
}
