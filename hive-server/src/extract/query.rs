//! Queries.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use hive_core::Error;
use hive_core::wire::query::QueryDeserializer;
use serde::de::DeserializeOwned;

use crate::error::HttpError;

/// The query of a request, as one of the structs of `hive_wire::api`. Which parameters a path has is checked by
/// `rest::check_query_names`, so that a handler may extract several structs from one query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        Ok(Self(parse(query_pairs(&parts.uri)?)?))
    }
}

/// Returns the decoded parameters of a query in their order.
pub(crate) fn query_pairs(uri: &Uri) -> Result<Vec<(String, String)>, Error> {
    let pairs = axum::extract::Query::try_from_uri(uri);
    pairs.map(|pairs| pairs.0).map_err(|error| Error::invalid("query", error.body_text()))
}

fn parse<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Error> {
    // The errors of the deserializer do not name the parameter.
    serde_path_to_error::deserialize(QueryDeserializer::new(pairs))
        .map_err(|error| Error::invalid(error.path().to_string(), error.inner().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::api::{
        AuditQuery, EventQuery, ExecQuery, OutputQuery, PageRequest, SatelliteFilter, SatelliteListQuery,
        SatelliteSort, SessionFilter,
    };

    fn read<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
        parse(query_pairs(&format!("/?{query}").parse().unwrap())?)
    }

    fn check_refused<T: DeserializeOwned + std::fmt::Debug>(query: &str, field: &str, rule: &str) {
        let Err(Error::InvalidInput { field: named, rule: said, .. }) = read::<T>(query) else {
            panic!("{query} was accepted");
        };
        assert_eq!((named.as_str(), said.as_str()), (field, rule), "{query}");
    }

    #[test]
    fn an_error_names_the_parameter() {
        check_refused::<PageRequest<SatelliteSort>>("page=x", "page", "invalid digit found in string");
        check_refused::<PageRequest<SatelliteSort>>("per_page=", "per_page", "cannot parse integer from empty string");
        check_refused::<PageRequest<SatelliteSort>>(
            "sort=api_key_hash",
            "sort",
            "must be one of name, status, last_seen, created_at, with `-` in front for the opposite order",
        );
        check_refused::<SatelliteListQuery>("online=yes", "online", "provided string was not `true` or `false`");
        check_refused::<ExecQuery>("wait=1", "wait", "provided string was not `true` or `false`");
        check_refused::<ExecQuery>(
            "encoding=nonsense",
            "encoding",
            "unknown variant `nonsense`, expected `lossy` or `base64`",
        );
        check_refused::<OutputQuery>(
            "channel=stdin",
            "channel",
            "unknown variant `stdin`, expected `stdout` or `stderr`",
        );
        check_refused::<AuditQuery>("since=now", "since", "not a time such as 2026-02-05T05:42:00Z (RFC 3339)");
        check_refused::<EventQuery>("after=7", "after", "must be the id of an event, such as 9f3a1c07b2d4e856-1042");
        check_refused::<SessionFilter>(
            "satellite_id=x",
            "satellite_id",
            "not an id of the form sat_ and 26 characters of [0-9a-hjkmnp-tv-z]",
        );
    }

    #[test]
    fn parameters_are_decoded_and_may_be_repeated() {
        let query: SatelliteListQuery = read("tag=a%26b&tag=c+d&search=%C3%A4&search=x&page=2").unwrap();
        let filter = SatelliteFilter::from(query);
        assert_eq!(filter.tags, ["a&b", "c d"]);
        assert_eq!(filter.search.as_deref(), Some("ä"), "of a parameter that is no list, the first one counts");
    }
}
