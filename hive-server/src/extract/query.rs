//! Query parameters.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use hive_core::Error;
use hive_core::wire::api::PageRequest;
use hive_core::wire::open::{OpenEnum, known};
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::error::HttpError;

/// The parameters of a query.
#[derive(Default)]
pub(crate) struct QueryParams(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|error| Error::invalid("query", error.body_text()).into())
    }
}

impl QueryParams {
    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect()
    }

    /// The text of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    /// A parameter that is a number, an id, a time.
    pub(crate) fn value<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| text.parse().map_err(|error: T::Err| Error::invalid(name, error.to_string()));
        self.text(name).map(read).transpose()
    }

    /// A parameter that is a word of an open enum. Unknown words are refused.
    pub(crate) fn known<T: OpenEnum>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| {
            let word: StrDeserializer<'_, WordError> = text.into_deserializer();
            known(word).map_err(|error| Error::invalid(name, error.to_string()))
        };
        self.text(name).map(read).transpose()
    }

    /// A parameter that is a word of an enum.
    pub(crate) fn word<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let read = |text: &str| {
            let word: StrDeserializer<'_, WordError> = text.into_deserializer();
            T::deserialize(word).map_err(|error| Error::invalid(name, error.to_string()))
        };
        self.text(name).map(read).transpose()
    }
}

/// The page of a list: `page` and `per_page`.
pub(crate) struct PageQuery(pub(crate) PageRequest);

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let pairs = QueryParams::from_request_parts(parts, state).await?;
        let default = PageRequest::default();
        let page = pairs.value("page")?.unwrap_or(default.page);
        let per_page = pairs.value("per_page")?.unwrap_or(default.per_page);
        Ok(Self(PageRequest { page, per_page }))
    }
}
