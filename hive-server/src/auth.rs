//! Who is calling: the credentials of a request, and the hive as it acts for them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hive_core::{ActingHive, Error, Hive, Principal};

use crate::error::Failure;
use crate::peer::Peer;
use crate::state::AppState;

const API_KEY: &str = "x-api-key";
/// What tells a user's API key from a JWT where both come as bearer tokens.
const USER_KEY_PREFIX: &str = "hive_key_";

/// The hive, acting for whoever calls.
pub(crate) struct Caller(pub(crate) ActingHive);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let Ok(peer) = Peer::from_request_parts(parts, state).await;
        let principal = authenticate(state.hive(), &parts.headers, peer).await?;
        Ok(Self(state.hive().acting_as(principal)))
    }
}

async fn authenticate(hive: &Hive, headers: &HeaderMap, peer: Peer) -> Result<Principal, Error> {
    if let Some(key) = headers.get(API_KEY) {
        let key = key.to_str().map_err(|_| Error::AuthInvalid)?;
        return hive.authenticate_api_key(key, peer.ip()).await;
    }
    let token = bearer(headers)?;
    if token.starts_with(USER_KEY_PREFIX) {
        return hive.authenticate_api_key(token, peer.ip()).await;
    }
    hive.authenticate_jwt(token, peer.ip()).await
}

/// Returns the bearer token of `Authorization`. None is [`Error::AuthRequired`], another scheme [`Error::AuthInvalid`].
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Error::AuthRequired)?;
    let value = value.to_str().map_err(|_| Error::AuthInvalid)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Error::AuthInvalid),
    }
}
