//! The query parameters of each path under `/api/v1`. A request with an unknown one is refused, because a misspelt filter
//! must not return everything.

use axum::extract::{MatchedPath, Query, Request};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hive_core::Error;

use crate::error::HttpError;

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
    let pairs: Query<Vec<(String, String)>> =
        Query::try_from_uri(uri).map_err(|error| Error::invalid("query", error.body_text()))?;
    let names = names(method, path);
    let Some((unknown, _)) = pairs.0.iter().find(|(name, _)| !names.contains(&name.as_str())) else {
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

/// The parameters of each path. A path that is not listed has none.
fn names(method: &Method, path: &str) -> &'static [&'static str] {
    match (method.as_str(), path) {
        ("GET" | "HEAD", "/satellites") => &["status", "online", "tag", "search", "team", "page", "per_page"],
        ("GET" | "HEAD", "/satellites/{id}/commands" | "/jobs" | "/jobs/{id}/targets" | "/users") => {
            &["page", "per_page"]
        }
        ("GET" | "HEAD", "/sessions") => &["satellite_id", "ended"],
        ("GET" | "HEAD", "/satellites/{id}/sessions") => &["ended"],
        ("GET" | "HEAD", "/commands/{id}") => &["encoding"],
        ("GET" | "HEAD", "/commands/{id}/output") => &["channel", "offset", "limit"],
        ("GET" | "HEAD", "/audit/logs") => &["actor", "action", "satellite_id", "since", "until", "page", "per_page"],
        ("POST", "/satellites/{id}/exec" | "/satellites/{id}/power" | "/exec") => &["wait", "encoding"],
        _ => &[],
    }
}
