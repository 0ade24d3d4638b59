//! The guard of an entry: the order in which a request is refused. 401 comes first, then 404 for an object that is hidden from the caller,
//! then 403 for a missing permission, and last 400 or 413 for the input. A caller over a rate is refused once it is known, with 429.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use hive_core::access::Permission;
use hive_core::{ActingHive, Error, Hive, Principal};
use utoipa::openapi::HttpMethod;

use super::{Access, ErrorFormat, Operation};
use crate::auth::{Authenticated, QueryToken, TrustedProxies};
use crate::error::{HttpError, InputRefused, KeyRefused};
use crate::extract::query_pairs;
use crate::limits::{Limiters, NameCaller, RateClass, RequestLimiter};

/// Characters of an unknown name that the error repeats.
const MAX_NAME: usize = 64;
/// The parameter with a JWT, of the routes that take one.
const TOKEN: &str = "token";

/// Whether a path refuses unknown query names. A satellite of a later version may send more.
pub(super) fn is_strict(path: &str) -> bool {
    path.starts_with("/api/v1/") || path == "/ws/ui"
}

/// What the guard knows of its entry.
pub(super) struct RouteGuard {
    path: &'static str,
    access: Access,
    query_names: Vec<&'static str>,
    takes_token: bool,
    rate: RateClass,
    gives_name: bool,
    errors: ErrorFormat,
}

impl RouteGuard {
    pub(super) fn new(method: &HttpMethod, path: &'static str, operation: &Operation, errors: ErrorFormat) -> Self {
        Self {
            path,
            access: operation.access().clone(),
            query_names: operation.query_names(),
            takes_token: operation.takes_token(),
            rate: operation.rate_class(method),
            gives_name: operation.limits().gives_name,
            errors,
        }
    }

    /// Counts a call, or refuses a caller who is over a rate.
    fn count(&self, requests: &RequestLimiter, principal: &Principal) -> Result<(), Error> {
        requests.count_call(principal, self.rate)?;
        if self.gives_name { requests.check_names(NameCaller::Caller(principal.credential)) } else { Ok(()) }
    }

    /// Refuses a query with a parameter that the operation does not have: a misspelt filter must not return everything.
    fn check_query_names(&self, uri: &Uri) -> Result<(), Error> {
        if !is_strict(self.path) || uri.query().is_none_or(str::is_empty) {
            return Ok(());
        }
        let (pairs, names) = (query_pairs(uri)?, &self.query_names);
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

    /// Returns the permission to call, where one is needed.
    pub(super) fn permission(&self) -> Option<&Permission> {
        match &self.access {
            Access::Permission(permission, _) => Some(permission),
            _ => None,
        }
    }

    /// Returns the object in the path, as text.
    pub(super) fn object_of_path<'p>(&self, uri: &'p Uri) -> Option<&'p str> {
        first_parameter(self.path, uri.path())
    }

    /// Returns the JWT in the query, where the operation takes one.
    fn query_token(&self, uri: &Uri) -> Option<QueryToken> {
        if !self.takes_token {
            return None;
        }
        // A query that cannot be read has no credential in it; what is wrong with it is said after the authentication.
        let mut pairs = query_pairs(uri).ok()?.into_iter();
        pairs.find_map(|(name, value)| (name == TOKEN).then(|| QueryToken(value.into())))
    }

    /// Checks whether the caller may do this at all, to the object in the path if there is one.
    pub(super) async fn check_access(&self, hive: &ActingHive, uri: &Uri) -> Result<(), Error> {
        let Access::Permission(permission, reach) = &self.access else { return Ok(()) };
        let id = self.object_of_path(uri).unwrap_or_default();
        hive.check_access(permission, reach.object(id)).await
    }

    /// Answers with an error, in the format of the area.
    pub(super) fn refuse(&self, error: impl Into<HttpError>) -> Response {
        (self.errors.respond)(error.into())
    }
}

/// Returns the value of the first parameter of a path. It is not decoded: ids have no characters that need it.
fn first_parameter<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let mut pairs = template.split('/').zip(path.split('/'));
    pairs.find_map(|(name, value)| name.starts_with('{').then_some(value))
}

/// Authenticates the caller for the handler, and answers refusals in their order.
pub(super) async fn enforce<S>(
    State((state, guard)): State<(S, Arc<RouteGuard>)>,
    request: Request,
    next: Next,
) -> Response
where
    S: Clone + Send + Sync + 'static,
    Hive: FromRef<S>,
    Arc<Limiters>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    if !guard.access.is_for_users() {
        return match guard.check_query_names(request.uri()) {
            Ok(()) => next.run(request).await,
            Err(error) => guard.refuse(error),
        };
    }
    let (mut parts, body) = request.into_parts();
    if let Some(token) = guard.query_token(&parts.uri) {
        parts.extensions.insert(token);
    }
    let caller = match Authenticated::from_request_parts(&mut parts, &state).await {
        Ok(caller) => caller,
        Err(error) => return guard.refuse(error),
    };
    // Before anything is read for the caller: a call that is refused must cost little.
    let limiters = <Arc<Limiters>>::from_ref(&state);
    if let Err(error) = guard.count(&limiters.requests, caller.0.principal()) {
        return guard.refuse(error);
    }
    let uri = parts.uri.clone();
    let response = match guard.check_query_names(&uri) {
        Ok(()) => {
            parts.extensions.insert(caller.clone());
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => guard.refuse(error),
    };
    // An idempotency key in use is a conflict too, and tells of no name.
    let is_about_key = response.extensions().get::<KeyRefused>().is_some();
    if guard.gives_name && response.status() == StatusCode::CONFLICT && !is_about_key {
        limiters.requests.count_taken_name(NameCaller::Caller(caller.0.principal().credential));
    }
    if response.extensions().get::<InputRefused>().is_none() {
        return response;
    }
    // The input was refused before anything was done. Who may not do it at all learns that instead.
    match guard.check_access(&caller.0, &uri).await {
        Ok(()) => response,
        Err(error) => guard.refuse(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_a_call_is_the_first_parameter_of_its_path() {
        let check = |template, path, expected| assert_eq!(first_parameter(template, path), expected, "{template}");
        check("/api/v1/satellites/{id}/exec", "/api/v1/satellites/sat_1/exec", Some("sat_1"));
        check("/api/v1/teams/{id}/members/{user}", "/api/v1/teams/team_1/members/usr_1", Some("team_1"));
        check("/api/v1/satellites", "/api/v1/satellites", None);
    }
}
