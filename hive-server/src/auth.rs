//! Authentication: the credentials of a request, and the hive on behalf of the principal they belong to.

mod forwarded;
mod peer;

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hive_core::hive::{AuthFailureKind, VerifyMode};
use hive_core::{ActingHive, Error, Hive, Principal};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::error::HttpError;
use crate::limits::{FailureCost, HandshakePermit, Limiters, UnauthenticatedConnection};

pub(crate) use self::peer::{Peer, TrustedProxies};

const API_KEY: &str = "x-api-key";
/// Tells a user's API key from a JWT, because both may come as bearer tokens.
const USER_KEY_PREFIX: &str = "hive_key_";

/// What authentication needs of a request, before its caller is known.
pub(crate) struct RequestParts {
    pub(crate) peer: Peer,
    hive: Hive,
    limiters: Arc<Limiters>,
    /// `None` where the router is mounted in another app, which has limits of its own.
    connection: Option<UnauthenticatedConnection>,
}

impl<S> FromRequestParts<S> for RequestParts
where
    S: Send + Sync,
    Hive: FromRef<S>,
    Arc<Limiters>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let peer = Peer::from_request_parts(parts, state).await?;
        let (hive, limiters) = (Hive::from_ref(state), FromRef::from_ref(state));
        Ok(Self { peer, hive, limiters, connection: parts.extensions.get().cloned() })
    }
}

impl RequestParts {
    /// Returns how the credentials of this caller are checked.
    pub(crate) fn verify_mode(&self) -> VerifyMode {
        self.limiters.auth_failures.verify_mode(self.peer.address)
    }

    /// Records the result of a check: marks the connection as authenticated, or counts the failure against its address.
    pub(crate) fn record_auth_result<T>(&self, cost: FailureCost, result: Result<T, Error>) -> Result<T, Error> {
        // Only a wrong credential counts. A missing one costs nothing to check, and other errors are not the caller's.
        match (&result, &self.connection) {
            (Ok(_), Some(connection)) => connection.mark_authenticated(),
            (Err(Error::AuthInvalid), _) => self.record_failures(cost, 1),
            _ => {}
        }
        result
    }

    /// Like [`Self::record_auth_result`], for the key of a satellite. A failure is also charged to the handshake budget of
    /// the address, and written to the audit log.
    pub(crate) fn record_satellite_auth_result<T>(
        &self,
        permit: &HandshakePermit,
        key: &str,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(Error::AuthInvalid | Error::RateLimited { .. }) = &result {
            permit.charge_failure();
            self.hive.note_refused_satellite_key(key, self.peer.ip().as_deref());
        }
        self.record_auth_result(FailureCost::Key, result)
    }

    /// Counts failures against the address of the caller.
    pub(crate) fn record_failures(&self, cost: FailureCost, count: u32) {
        for _ in 0..count {
            self.limiters.auth_failures.record_failure(self.peer.address, cost);
        }
        if let FailureCost::Password = cost {
            self.limiters.requests.count_wrong_password(self.peer.address);
        }
    }

    /// Returns the bearer token of a request. A malformed header is recorded as a failure of this kind.
    pub(crate) fn bearer<'h>(&self, headers: &'h HeaderMap, kind: AuthFailureKind) -> Result<&'h str, Error> {
        self.record_malformed(kind, bearer(headers))
    }

    /// Fails if nobody may try a password from the address of the caller now, because too many wrong ones came from it.
    pub(crate) fn check_passwords(&self) -> Result<(), Error> {
        self.limiters.requests.check_passwords(self.peer.address)
    }

    /// Like [`check_passwords`](Self::check_passwords), for an authenticated caller: other wrong credentials count as well.
    pub(crate) fn check_auth_budget(&self) -> Result<(), Error> {
        self.check_passwords()?;
        match self.verify_mode() {
            VerifyMode::Full => Ok(()),
            VerifyMode::CachedOnly => Err(Error::RateLimited { retry_after_seconds: 1 }),
        }
    }

    /// Records the result of a password change by an authenticated caller: a wrong current password is a failure too,
    /// because a stolen API key must not allow guessing.
    pub(crate) fn record_password_result<T>(&self, result: &Result<T, Error>) {
        if matches!(result, Err(Error::InvalidInput { field, .. }) if field == "current") {
            self.record_failures(FailureCost::Password, 1);
        }
    }

    /// When the caller must be authenticated.
    pub(crate) fn deadline(&self) -> Instant {
        let connection = self.connection.as_ref();
        connection.map_or_else(|| self.limiters.connections.deadline(), UnauthenticatedConnection::deadline)
    }

    async fn authenticate(&self, headers: &HeaderMap, query: Option<QueryToken>) -> Result<Principal, Error> {
        let ip = self.peer.ip();
        check_single(headers, query.is_some())?;
        if let Some(QueryToken(token)) = query {
            // A JWT alone: an API key does not end by itself, and URLs end up in logs.
            return self.hive.authenticate_jwt(token.expose_secret(), ip).await;
        }
        if let Some(key) = headers.get(API_KEY) {
            let key = self.record_malformed(AuthFailureKind::ApiKey, key.to_str().map_err(|_| Error::AuthInvalid))?;
            return self.hive.authenticate_api_key(key, ip, self.verify_mode()).await;
        }
        let token = self.bearer(headers, AuthFailureKind::LoginToken)?;
        if token.starts_with(USER_KEY_PREFIX) {
            return self.hive.authenticate_api_key(token, ip, self.verify_mode()).await;
        }
        // Without a verify mode: the check of a signature is cheap.
        self.hive.authenticate_jwt(token, ip).await
    }

    /// Writes a credential that cannot be parsed to the audit log.
    fn record_malformed<T>(&self, kind: AuthFailureKind, parsed: Result<T, Error>) -> Result<T, Error> {
        if matches!(parsed, Err(Error::AuthInvalid)) {
            self.hive.note_malformed_credential(kind, self.peer.ip().as_deref());
        }
        parsed
    }
}

/// A JWT in the query of a request. The guard of a route that takes one puts it into the extensions of the request.
#[derive(Clone)]
pub(crate) struct QueryToken(pub(crate) SecretString);

/// Fails where a request has more than one credential: they may be of different callers.
fn check_single(headers: &HeaderMap, has_query_token: bool) -> Result<(), Error> {
    let given = [headers.contains_key(API_KEY), headers.contains_key(header::AUTHORIZATION), has_query_token];
    if given.into_iter().filter(|is_given| *is_given).count() > 1 {
        return Err(Error::invalid("credential", "a request has one credential: X-API-Key, Authorization or token"));
    }
    Ok(())
}

/// The hive on behalf of the authenticated caller.
#[derive(Clone)]
pub(crate) struct Authenticated(pub(crate) ActingHive);

impl<S> FromRequestParts<S> for Authenticated
where
    S: Send + Sync,
    Hive: FromRef<S>,
    Arc<Limiters>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        // The guard of the route has authenticated the caller before.
        if let Some(caller) = parts.extensions.remove() {
            return Ok(caller);
        }
        let request = RequestParts::from_request_parts(parts, state).await?;
        let query = parts.extensions.remove();
        let result = request.authenticate(&parts.headers, query).await;
        let principal = request.record_auth_result(FailureCost::Key, result)?;
        Ok(Self(request.hive.acting_as(principal)))
    }
}

/// Returns the bearer token of `Authorization`. A missing header is [`Error::AuthRequired`], another scheme
/// [`Error::AuthInvalid`].
fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Error::AuthRequired)?;
    let value = value.to_str().map_err(|_| Error::AuthInvalid)?;
    // RFC 9110, section 11.1: the scheme is case-insensitive.
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Error::AuthInvalid),
    }
}
