//! Who is calling: the credentials of a request, and the hive as it acts for them.

mod forwarded;
mod peer;

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hive_core::hive::{AuthFailureKind, Effort};
use hive_core::{ActingHive, Error, Hive, Principal};
use tokio::time::Instant;

use crate::error::Failure;
use crate::limits::{Admitted, Door, Offence, Stranger};

pub(crate) use self::peer::{Peer, TrustedProxies};

const API_KEY: &str = "x-api-key";
/// What tells a user's API key from a JWT where both come as bearer tokens.
const USER_KEY_PREFIX: &str = "hive_key_";

/// Somebody who has not proved who they are, and is about to.
pub(crate) struct Visitor {
    pub(crate) peer: Peer,
    hive: Hive,
    door: Arc<Door>,
    /// None where the router is mounted in an app that has a door of its own.
    stranger: Option<Stranger>,
}

impl<S> FromRequestParts<S> for Visitor
where
    S: Send + Sync,
    Hive: FromRef<S>,
    Arc<Door>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let peer = Peer::from_request_parts(parts, state).await?;
        let (hive, door) = (Hive::from_ref(state), FromRef::from_ref(state));
        Ok(Self { peer, hive, door, stranger: parts.extensions.get().cloned() })
    }
}

impl Visitor {
    /// How much it may cost to check what they show.
    pub(crate) fn effort(&self) -> Effort {
        self.door.effort(self.peer.address)
    }

    /// Takes in what the check has shown: they are known from here on, or have one more wrong key against them.
    pub(crate) fn judge<T>(&self, checked: Result<T, Error>) -> Result<T, Error> {
        self.judge_as(Offence::Key, checked)
    }

    /// The same for a satellite: where its key is wrong, the attempt is charged to its address alone, and audited.
    pub(crate) fn judge_satellite<T>(
        &self,
        admitted: &Admitted,
        key: &str,
        checked: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(Error::AuthInvalid | Error::RateLimited { .. }) = &checked {
            admitted.charge_failure();
            self.hive.note_refused_satellite_key(key, self.peer.ip().as_deref());
        }
        self.judge(checked)
    }

    /// Returns the bearer token of a request. One that is not even that is noted as a failure of this kind.
    pub(crate) fn bearer<'h>(&self, headers: &'h HeaderMap, kind: AuthFailureKind) -> Result<&'h str, Error> {
        noted(&self.hive, self.peer, kind, bearer(headers))
    }

    pub(crate) fn judge_as<T>(&self, offence: Offence, checked: Result<T, Error>) -> Result<T, Error> {
        match (&checked, &self.stranger) {
            (Ok(_), Some(stranger)) => stranger.is_known_now(),
            (Err(Error::AuthInvalid), _) => self.door.resent(self.peer.address, offence),
            _ => {}
        }
        checked
    }

    /// Notes further wrong keys: what was spent on them.
    pub(crate) fn note_wrong_keys(&self, count: u32) {
        for _ in 0..count {
            self.door.resent(self.peer.address, Offence::Key);
        }
    }

    /// Whether a caller who is known may show a password: not where too many wrong ones came from.
    pub(crate) fn may_guess(&self) -> Result<(), Error> {
        match self.effort() {
            Effort::Full => Ok(()),
            Effort::Remembered => Err(Error::RateLimited { retry_after_seconds: 1 }),
        }
    }

    /// Takes in what became of a password that a known caller has shown.
    pub(crate) fn judge_guess<T>(&self, checked: &Result<T, Error>) {
        if matches!(checked, Err(Error::InvalidInput { field, .. }) if field == "current") {
            self.door.resent(self.peer.address, Offence::Password);
        }
    }

    /// When they must have said what they want.
    pub(crate) fn until(&self) -> Instant {
        self.stranger.as_ref().map_or_else(|| self.door.until(), Stranger::until)
    }
}

/// The hive, acting for whoever calls.
pub(crate) struct Caller(pub(crate) ActingHive);

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Hive: FromRef<S>,
    Arc<Door>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let checked = authenticate(&visitor.hive, &parts.headers, visitor.peer, visitor.effort()).await;
        let principal = visitor.judge(checked)?;
        Ok(Self(visitor.hive.acting_as(principal)))
    }
}

async fn authenticate(hive: &Hive, headers: &HeaderMap, peer: Peer, effort: Effort) -> Result<Principal, Error> {
    if let Some(key) = headers.get(API_KEY) {
        let key = noted(hive, peer, AuthFailureKind::ApiKey, key.to_str().map_err(|_| Error::AuthInvalid))?;
        return hive.authenticate_api_key(key, peer.ip(), effort).await;
    }
    let token = noted(hive, peer, AuthFailureKind::LoginToken, bearer(headers))?;
    if token.starts_with(USER_KEY_PREFIX) {
        return hive.authenticate_api_key(token, peer.ip(), effort).await;
    }
    hive.authenticate_jwt(token, peer.ip()).await
}

/// Notes credentials that cannot be taken apart.
fn noted<T>(hive: &Hive, peer: Peer, kind: AuthFailureKind, read: Result<T, Error>) -> Result<T, Error> {
    if matches!(read, Err(Error::AuthInvalid)) {
        hive.note_malformed_credential(kind, peer.ip().as_deref());
    }
    read
}

/// Returns the bearer token of `Authorization`. None is [`Error::AuthRequired`], another scheme [`Error::AuthInvalid`].
fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Error::AuthRequired)?;
    let value = value.to_str().map_err(|_| Error::AuthInvalid)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Error::AuthInvalid),
    }
}
