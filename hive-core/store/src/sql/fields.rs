//! Reading our types from a row. An error names the column, and not the value, which may be secret.

use std::str::FromStr;

use hive_wire::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{StoreError, StoreResult};

/// A row of any database.
pub(crate) struct Row(Box<dyn Columns>);

/// The columns of a row, in the types that all databases have. `None` is NULL.
pub(crate) trait Columns: Send + Sync {
    fn text(&self, column: &str) -> StoreResult<Option<String>>;
    fn int(&self, column: &str) -> StoreResult<Option<i64>>;
    fn bool(&self, column: &str) -> StoreResult<Option<bool>>;
    fn bytes(&self, column: &str) -> StoreResult<Option<Vec<u8>>>;
}

impl Row {
    pub(crate) fn new(row: impl Columns + 'static) -> Self {
        Self(Box::new(row))
    }

    pub(crate) fn text(&self, column: &str) -> StoreResult<String> {
        self.0.text(column)?.ok_or_else(|| corrupt_column(column))
    }

    pub(crate) fn text_opt(&self, column: &str) -> StoreResult<Option<String>> {
        self.0.text(column)
    }

    pub(super) fn int(&self, column: &str) -> StoreResult<i64> {
        self.0.int(column)?.ok_or_else(|| corrupt_column(column))
    }

    pub(super) fn bool(&self, column: &str) -> StoreResult<bool> {
        self.0.bool(column)?.ok_or_else(|| corrupt_column(column))
    }

    pub(crate) fn bool_opt(&self, column: &str) -> StoreResult<Option<bool>> {
        self.0.bool(column)
    }

    pub(super) fn bytes(&self, column: &str) -> StoreResult<Vec<u8>> {
        self.0.bytes(column)?.ok_or_else(|| corrupt_column(column))
    }

    pub(crate) fn bytes_opt(&self, column: &str) -> StoreResult<Option<Vec<u8>>> {
        self.0.bytes(column)
    }

    /// Reads a type that is stored as its `Display`, such as an id.
    pub(super) fn parse<T: FromStr>(&self, column: &str) -> StoreResult<T> {
        self.text(column)?.parse().map_err(|_| corrupt_column(column))
    }

    pub(super) fn parse_opt<T: FromStr>(&self, column: &str) -> StoreResult<Option<T>> {
        self.text_opt(column)?.map(|text| text.parse().map_err(|_| corrupt_column(column))).transpose()
    }

    /// Reads an enum that is a JSON string.
    pub(super) fn string_enum<T: DeserializeOwned>(&self, column: &str) -> StoreResult<T> {
        // Through JSON, so that the names of the enum are declared once, by serde.
        serde_json::from_value(Json::String(self.text(column)?)).map_err(|_| corrupt_column(column))
    }

    pub(super) fn string_enum_opt<T: DeserializeOwned>(&self, column: &str) -> StoreResult<Option<T>> {
        let word = self.text_opt(column)?;
        word.map(|word| serde_json::from_value(Json::String(word)).map_err(|_| corrupt_column(column))).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> StoreResult<T> {
        serde_json::from_str(&self.text(column)?).map_err(|_| corrupt_column(column))
    }

    pub(super) fn json_opt<T: DeserializeOwned>(&self, column: &str) -> StoreResult<Option<T>> {
        self.text_opt(column)?.map(|text| serde_json::from_str(&text).map_err(|_| corrupt_column(column))).transpose()
    }

    pub(super) fn time(&self, column: &str) -> StoreResult<Timestamp> {
        Ok(Timestamp::from_micros(self.int(column)?))
    }

    pub(super) fn time_opt(&self, column: &str) -> StoreResult<Option<Timestamp>> {
        Ok(self.0.int(column)?.map(Timestamp::from_micros))
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, column: &str) -> StoreResult<T> {
        self.int(column)?.try_into().map_err(|_| corrupt_column(column))
    }

    pub(crate) fn number_opt<T: TryFrom<i64>>(&self, column: &str) -> StoreResult<Option<T>> {
        self.0.int(column)?.map(|number| number.try_into().map_err(|_| corrupt_column(column))).transpose()
    }
}

// What cannot be read was not written by this version. The value stays out of the message, which may be shown.
pub(crate) fn corrupt_column(column: &str) -> StoreError {
    StoreError::Corrupt(format!("{column} cannot be read"))
}
