//! The query parameters of each path under `/api/v1`. A request with an unknown one is refused, because a misspelt filter
//! must not return everything.

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hive_core::Error;
use hive_core::wire::api::{
    AuditQuery, CommandQuery, EventQuery, ExecQuery, OutputQuery, PageRequest, SatelliteListQuery,
    SatelliteSessionsQuery, SessionFilter,
};
use hive_core::wire::query::names;

use crate::error::HttpError;
use crate::extract::query_pairs;

/// Characters of an unknown name that the error repeats.
const MAX_NAME: usize = 64;

/// Refuses a query with a parameter that its path does not have. Paths outside of `/api/v1` ignore unknown parameters.
pub(crate) async fn check_query_names(path: MatchedPath, request: Request, next: Next) -> Response {
    let checked = match path.as_str().strip_prefix("/api/v1") {
        Some(path) => check(request.method(), path, request.uri()),
        None => Ok(()),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => HttpError::from(error).into_response(),
    }
}

fn check(method: &Method, path: &str, uri: &Uri) -> Result<(), Error> {
    if uri.query().is_none_or(str::is_empty) {
        return Ok(());
    }
    let (pairs, names) = (query_pairs(uri)?, query_names(method, path));
    let Some((unknown, _)) = pairs.iter().find(|(name, _)| !names.contains(&name.as_str())) else {
        return Ok(());
    };
    let listed: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let rule = if listed.is_empty() {
        "unknown name; this call takes no query".to_owned()
    } else {
        format!("unknown name, expected one of {}", listed.join(", "))
    };
    Err(Error::invalid(unknown.chars().take(MAX_NAME).collect::<String>(), rule))
}

/// The parameters of a path: those of the structs that its handler extracts. A path that is not listed has none.
fn query_names(method: &Method, path: &str) -> Vec<&'static str> {
    match (method.as_str(), path) {
        // axum serves HEAD by the handler of GET.
        ("GET" | "HEAD", "/satellites") => [names::<SatelliteListQuery>(), names::<PageRequest>()].concat(),
        ("GET" | "HEAD", "/satellites/{id}/commands" | "/jobs" | "/jobs/{id}/targets" | "/users") => {
            names::<PageRequest>().to_vec()
        }
        ("GET" | "HEAD", "/events") => names::<EventQuery>().to_vec(),
        ("GET" | "HEAD", "/sessions") => names::<SessionFilter>().to_vec(),
        ("GET" | "HEAD", "/satellites/{id}/sessions") => names::<SatelliteSessionsQuery>().to_vec(),
        ("GET" | "HEAD", "/commands/{id}") => names::<CommandQuery>().to_vec(),
        ("GET" | "HEAD", "/commands/{id}/output") => names::<OutputQuery>().to_vec(),
        ("GET" | "HEAD", "/audit/logs") => [names::<AuditQuery>(), names::<PageRequest>()].concat(),
        ("POST", "/satellites/{id}/exec" | "/satellites/{id}/power" | "/exec") => names::<ExecQuery>().to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_names(method: Method, path: &str, expected: &[&str]) {
        assert_eq!(query_names(&method, path), expected, "{method} {path}");
    }

    /// Clients outside of this repository use these names.
    #[test]
    fn the_names_are_the_documented_ones() {
        check_names(Method::GET, "/satellites", &["status", "online", "tag", "search", "team", "page", "per_page"]);
        check_names(Method::GET, "/events", &["after"]);
        check_names(Method::GET, "/jobs", &["page", "per_page"]);
        check_names(Method::GET, "/sessions", &["satellite_id", "ended"]);
        check_names(Method::GET, "/satellites/{id}/sessions", &["ended"]);
        check_names(Method::GET, "/commands/{id}", &["encoding"]);
        check_names(Method::GET, "/commands/{id}/output", &["channel", "offset", "limit"]);
        let audit = ["actor", "action", "satellite_id", "since", "until", "page", "per_page"];
        check_names(Method::HEAD, "/audit/logs", &audit);
        check_names(Method::POST, "/exec", &["wait", "encoding"]);
        check_names(Method::POST, "/jobs", &[]);
    }
}
