//! Signed tokens: HS256 JWTs for logins and for registration.

use chrono::DateTime;
use hive_wire::api::{PlatformRole, TokenScope};
use hive_wire::credential::{GLOBAL_TOKEN_PREFIX, TEAM_TOKEN_PREFIX, registration_jwt};
use hive_wire::{RegistrationTokenId, TeamId, Timestamp, UserId};
use jwt_compact::ValidationError;
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::prelude::*;
use secrecy::{ExposeSecret, SecretSlice};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const LOGIN_AUDIENCE: &str = "hive-api";
const REGISTRATION_AUDIENCE: &str = "satellite-registration";
/// Seconds by which two clocks may differ.
const LEEWAY_SECONDS: i64 = 60;

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It is not of the form of a token.
    Malformed,
    /// It is not signed by this hive, or not for this.
    Forged,
    Expired,
    /// The prefix before the JWT and its claims disagree.
    ScopeMismatch,
}

impl TokenError {
    /// The reason as a stable word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::ScopeMismatch => "scope_mismatch",
        }
    }
}

/// The claims of a login token.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoginClaims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: UserId,
    pub(crate) roles: Vec<PlatformRole>,
    /// All logins of a user end when the user's generation is raised.
    #[serde(default)]
    pub(crate) generation: u64,
}

/// A login as its token states it.
#[derive(Debug, Clone)]
pub(crate) struct LoginToken {
    pub(crate) user: UserId,
    pub(crate) role: PlatformRole,
    pub(crate) generation: u64,
}

/// The claims of a registration token.
#[derive(Serialize, Deserialize)]
pub(crate) struct RegistrationClaims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) jti: String,
    pub(crate) scope: TokenScope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) team_id: Option<TeamId>,
    pub(crate) created_by: String,
    pub(crate) permissions: Vec<String>,
}

/// A verified registration token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RegistrationTokenRef {
    pub(crate) id: RegistrationTokenId,
    pub(crate) team_id: Option<TeamId>,
}

/// Signs a login token.
pub(crate) fn sign_login(
    secret: &SecretSlice<u8>,
    issuer: &str,
    login: LoginToken,
    now: Timestamp,
    until: Timestamp,
) -> String {
    let claims = LoginClaims {
        iss: issuer.into(),
        aud: LOGIN_AUDIENCE.into(),
        sub: login.user,
        roles: vec![login.role],
        generation: login.generation,
    };
    sign(secret, claims, now, until)
}

/// Reads a login token.
pub(crate) fn read_login(secret: &SecretSlice<u8>, token: &str, now: Timestamp) -> Result<LoginClaims, TokenError> {
    let (claims, exp): (LoginClaims, _) = verify(secret, token)?;
    if claims.aud != LOGIN_AUDIENCE {
        return Err(TokenError::Forged);
    }
    if is_over(exp, now) { Err(TokenError::Expired) } else { Ok(claims) }
}

/// Signs a registration token. The prefix before the JWT shows people its scope.
pub(crate) fn sign_registration(
    secret: &SecretSlice<u8>,
    issuer: &str,
    token: RegistrationTokenRef,
    created_by: &str,
    now: Timestamp,
    until: Timestamp,
) -> String {
    let (scope, prefix, kind) = match token.team_id {
        None => (TokenScope::Global, GLOBAL_TOKEN_PREFIX, "gsat"),
        Some(_) => (TokenScope::Team, TEAM_TOKEN_PREFIX, "tsat"),
    };
    let claims = RegistrationClaims {
        iss: issuer.into(),
        aud: REGISTRATION_AUDIENCE.into(),
        jti: format!("{kind}_{}", token.id),
        scope,
        team_id: token.team_id,
        created_by: created_by.into(),
        permissions: vec!["satellite:register".into()],
    };
    format!("{prefix}{}", sign(secret, claims, now, until))
}

/// Reads a registration token and returns when it counts as used. Whether it was used before or revoked, the store knows.
pub(crate) fn read_registration(
    secret: &SecretSlice<u8>,
    token: &str,
    now: Timestamp,
) -> Result<(RegistrationTokenRef, Timestamp), TokenError> {
    let jwt = registration_jwt(token).ok_or(TokenError::Malformed)?;
    let (claims, exp): (RegistrationClaims, _) = verify(secret, jwt)?;
    if claims.aud != REGISTRATION_AUDIENCE {
        return Err(TokenError::Forged);
    }
    if is_over(exp, now) {
        return Err(TokenError::Expired);
    }
    // The prefix is not signed: it must not show a scope that the claims do not have.
    let says_global = token.contains("_satellite_global_");
    let is_global = claims.scope == TokenScope::Global;
    if says_global != is_global || is_global != claims.team_id.is_none() {
        return Err(TokenError::ScopeMismatch);
    }
    let id = claims.jti.split_once('_').and_then(|(_, id)| id.parse().ok()).ok_or(TokenError::Malformed)?;
    // The store has no leeway: a token that is used within it counts as used at the last moment of its life.
    let last_moment = Timestamp::from_micros(exp.saturating_mul(1_000_000).saturating_sub(1));
    Ok((RegistrationTokenRef { id, team_id: claims.team_id }, now.min(last_moment)))
}

/// Whether a token's life is over by any clock that is nearly right.
fn is_over(exp: i64, now: Timestamp) -> bool {
    exp.saturating_add(LEEWAY_SECONDS) <= now.as_seconds()
}

fn sign<C: Serialize>(secret: &SecretSlice<u8>, claims: C, now: Timestamp, until: Timestamp) -> String {
    let mut claims = Claims::new(claims);
    claims.issued_at = DateTime::from_timestamp(now.as_seconds(), 0);
    claims.expiration = DateTime::from_timestamp(until.as_seconds(), 0);
    let header = Header::empty().with_token_type("JWT");
    Hs256.token(&header, &claims, &key(secret)).expect("claims are plain data and any secret is a key")
}

/// Verifies the signature and returns the claims with the time of expiry, in Unix seconds. The audience, which keeps a token
/// of one kind from being used as another (RFC 8725, section 3.9), and the time by the hive's clock are checked by the caller.
fn verify<C: DeserializeOwned>(secret: &SecretSlice<u8>, token: &str) -> Result<(C, i64), TokenError> {
    let token = UntrustedToken::new(token).map_err(|_| TokenError::Malformed)?;
    // No other algorithm is accepted, whatever the header names (RFC 8725, section 3.1).
    let verified = Hs256.validator::<C>(&key(secret)).validate(&token).map_err(|error| match error {
        ValidationError::InvalidSignature => TokenError::Forged,
        _ => TokenError::Malformed,
    })?;
    let (_, claims) = verified.into_parts();
    let exp = claims.expiration.ok_or(TokenError::Malformed)?;
    Ok((claims.custom, exp.timestamp()))
}

fn key(secret: &SecretSlice<u8>) -> Hs256Key {
    Hs256Key::new(secret.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockAndRng;
    use std::time::Duration;

    fn secret() -> SecretSlice<u8> {
        SecretSlice::from(vec![7; 32])
    }

    fn of(user: UserId) -> LoginToken {
        LoginToken { user, role: PlatformRole::GlobalAdmin, generation: 1 }
    }

    #[test]
    fn a_registration_token_is_taken_until_it_expires() {
        let source = ClockAndRng::default();
        let now = source.now();
        let until = now.plus(Duration::from_hours(1));
        let expected = RegistrationTokenRef { id: RegistrationTokenId::new(source.seed()), team_id: None };
        let token = sign_registration(&secret(), "http://hive", expected, "admin", now, until);
        let check = |text: &str, at: Timestamp, expected| assert_eq!(read_registration(&secret(), text, at), expected);
        check(&token, now, Ok((expected, now)));
        check(&token, until.plus(Duration::from_secs(61)), Err(TokenError::Expired));
        check(&token.replace("hive_", "deploystack_"), now, Ok((expected, now)));
        check(&token.replace("_global_", "_team_"), now, Err(TokenError::ScopeMismatch));
        // The shorter signature is malformed where its last letter has bits too many.
        let shortened = read_registration(&secret(), &token[..token.len() - 4], now);
        assert!(matches!(shortened, Err(TokenError::Forged | TokenError::Malformed)), "{shortened:?}");
        check("", now, Err(TokenError::Malformed));
        let other = SecretSlice::from(vec![8; 32]);
        assert_eq!(read_registration(&other, &token, now), Err(TokenError::Forged));
    }

    #[test]
    fn a_clock_may_be_wrong_by_a_minute() {
        let source = ClockAndRng::default();
        let now = source.now();
        let until = now.plus(Duration::from_hours(1));
        let late = until.plus(Duration::from_secs(58));
        let user = UserId::new(source.seed());
        let token = sign_login(&secret(), "http://hive", of(user), now, until);
        assert!(read_login(&secret(), &token, late).is_ok());
        assert!(read_login(&secret(), &token, now.minus(Duration::from_hours(24))).is_ok(), "made by a clock ahead");
        let expected = RegistrationTokenRef { id: RegistrationTokenId::new(source.seed()), team_id: None };
        let token = sign_registration(&secret(), "http://hive", expected, "admin", now, until);
        let (read, used_at) = read_registration(&secret(), &token, late).unwrap();
        assert!(read == expected && used_at < until, "the store takes it as used before it expired");
    }

    #[test]
    fn a_token_for_one_thing_is_no_token_for_another() {
        let source = ClockAndRng::default();
        let now = source.now();
        let until = now.plus(Duration::from_mins(1));
        let user = UserId::new(source.seed());
        let token = sign_login(&secret(), "http://hive", of(user), now, until);
        assert_eq!(read_login(&secret(), &token, now).map(|claims| claims.sub).ok(), Some(user));
        assert!(read_login(&secret(), &token, until.plus(Duration::from_secs(61))).is_err());
        assert!(read_registration(&secret(), &format!("{GLOBAL_TOKEN_PREFIX}{token}"), now).is_err());
    }

    /// Its members have another order (RFC 7515, section 4).
    #[test]
    fn a_token_of_an_earlier_version_is_read() {
        let token = concat!(
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.",
            "eyJpc3MiOiJodHRwOi8vaGl2ZSIsImF1ZCI6ImhpdmUtYXBpIiwic3ViIjoidXNyXzAxa2dlM2g5MDBlNDE4NjEwNT",
            "ByM2dnMjhhIiwicm9sZXMiOlsiZ2xvYmFsX2FkbWluIl0sImlhdCI6MTc3MDAwMDAwMCwiZXhwIjoxNzcwMDAzNjAwLCJnZW5lcmF0aW9uIjoxfQ",
            ".m7Un9YJRh9dWHi4D1Hg3d6owNFK5ID9cRVwfG76w_z4"
        );
        let claims = read_login(&secret(), token, Timestamp::from_micros(1_770_000_001_000_000)).unwrap();
        assert_eq!((claims.generation, claims.roles), (1, vec![PlatformRole::GlobalAdmin]));
    }
}
