//! Text with a meaning, which the bindings treat in a way of their own.

use std::fmt;

use serde::Serialize;

/// Any JSON value. In Python it is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(pub String);

impl Json {
    pub(crate) fn of(value: &serde_json::Value) -> Self {
        Self(value.to_string())
    }
}

/// A JSON object. In Python it is a `dict`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonObject(pub String);

impl JsonObject {
    pub(crate) fn of(value: &impl Serialize) -> Self {
        Self(serde_json::json!(value).to_string())
    }
}

/// A password, key or token. It is not part of the debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

uniffi::custom_newtype!(Json, String);
uniffi::custom_newtype!(JsonObject, String);
uniffi::custom_newtype!(Secret, String);
