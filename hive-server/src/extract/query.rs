//! Queries.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use hive_core::Error;
use hive_core::wire::api::PageRequest;
use hive_core::wire::open::{OpenEnum, known};
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::error::Failure;

/// A query, by name.
#[derive(Default)]
pub(crate) struct Pairs(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|error| Error::invalid("query", error.body_text()).into())
    }
}

impl Pairs {
    /// All values of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect()
    }

    /// The text of this name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    /// The number, id, time … of this name.
    pub(crate) fn value<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| text.parse().map_err(|error: T::Err| Error::invalid(name, error.to_string()));
        self.text(name).map(read).transpose()
    }

    /// The word of an enum of this name, to which other versions may add.
    pub(crate) fn known<T: OpenEnum>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| {
            let word: StrDeserializer<'_, WordError> = text.into_deserializer();
            known(word).map_err(|error| Error::invalid(name, error.to_string()))
        };
        self.text(name).map(read).transpose()
    }

    /// The word of an enum of this name.
    pub(crate) fn word<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| {
            let word: StrDeserializer<'_, WordError> = text.into_deserializer();
            T::deserialize(word).map_err(|error| Error::invalid(name, error.to_string()))
        };
        self.text(name).map(read).transpose()
    }
}

/// Which page of a list is wanted: `page` and `per_page`.
pub(crate) struct Paging(pub(crate) PageRequest);

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let pairs = Pairs::from_request_parts(parts, state).await?;
        let default = PageRequest::default();
        let page = pairs.value("page")?.unwrap_or(default.page);
        let per_page = pairs.value("per_page")?.unwrap_or(default.per_page);
        Ok(Self(PageRequest { page, per_page }))
    }
}
