//! Authentication: API keys, passwords and login tokens become a [`Principal`].

use hive_wire::TeamId;
use hive_wire::api::{Actor, AuditResult, LoginRequest, LoginResponse, User};
use hive_wire::credential::split_user_key;
use serde_json::json;

use super::auth_failures::{AuthFailure, AuthFailureKind};
use super::configured_key::ConfiguredKey;
use super::jwt::{self, LoginClaims};
use super::passwords;
use super::service::IdentityService;
use crate::access::{Credential, CredentialVersion, Principal, Role};
use crate::audit::draft::{Subject, draft};
use crate::audit::{AuditAction, AuditDraft};
use crate::networks::is_allowed_address;
use crate::store::{ApiKeyOwner, ApiKeyRow, UserRow};
use crate::{Error, Result};

/// How much work the check of a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyMode {
    /// The key is verified, from the cache or by its hash.
    Full,
    /// Only the cache of verified keys is used. Any other key is `RateLimited`. For callers with too many wrong keys.
    CachedOnly,
}

impl VerifyMode {
    /// Returns the error for a key that is not known, or was not checked.
    pub(crate) fn refusal(self) -> Error {
        match self {
            Self::Full => Error::AuthInvalid,
            Self::CachedOnly => Error::RateLimited { retry_after_seconds: 1 },
        }
    }
}

impl IdentityService {
    /// Returns the principal of an API key.
    ///
    /// # Errors
    /// `AuthInvalid` for any key that is malformed, unknown, wrong, revoked, expired, of a user who is disabled or from an
    /// address that it does not allow: they look the same. `RateLimited` where the mode does not suffice to decide.
    pub(crate) async fn authenticate_api_key(
        &self,
        key: &str,
        ip: Option<String>,
        mode: VerifyMode,
    ) -> Result<Principal> {
        let refuse = |failure: AuthFailure<'_>| {
            self.auth_failures.note(failure);
            mode.refusal()
        };
        let failed = |reason| AuthFailure::new(AuthFailureKind::ApiKey, ip.as_deref(), reason);
        if self.configured_key.as_ref().is_some_and(|configured| configured.is_key(key)) {
            return Ok(ConfiguredKey::principal(ip));
        }
        let (id, secret) = split_user_key(key).map_err(|_| refuse(failed("malformed")))?;
        let owner = self.store.api_key_owner(id).await?.ok_or_else(|| refuse(failed("unknown").of(id)))?;
        let is_over = self.grants.is_key_over(&owner);
        let ApiKeyOwner { key, user, teams } = owner;
        let is_elsewhere = !is_allowed_address(key.addresses.as_deref(), ip.as_deref());
        // A key that is over is verified as well, so that its refusal takes as long as that of a wrong secret.
        let version = self.version_of(&key, secret, mode);
        let Some(version) = version.filter(|_| !is_over && !is_elsewhere) else {
            let reason = match mode {
                VerifyMode::CachedOnly => "not checked, after too many failures",
                VerifyMode::Full if is_over => "revoked, expired or of a disabled user",
                VerifyMode::Full if is_elsewhere => "from an address that the key does not allow",
                VerifyMode::Full => "wrong",
            };
            return Err(refuse(failed(reason).of(id).with("username", user.username)));
        };
        self.key_uses.note(id, self.context.now());
        let credential = Credential::ApiKey(id, user.id);
        let ancestor_rates = self.ancestor_rates(&key).await?;
        let ApiKeyRow { scopes, satellite_tags, rate_per_minute, .. } = key;
        let teams = self.allow_lists().usable_teams(teams, ip.as_deref());
        let principal = principal_of(credential, Some(version), user, teams, ip);
        Ok(Principal { scopes, satellite_tags, rate_per_minute, ancestor_rates, ..principal })
    }

    /// Returns which secret of a key this is: the present one, or during the overlap of a rotation the one before it. `None` for any
    /// other.
    fn version_of(&self, key: &ApiKeyRow, secret: &str, mode: VerifyMode) -> Option<CredentialVersion> {
        let previous = key.previous.as_ref().filter(|previous| previous.until > self.context.now());
        let hashes = std::iter::once(&key.hash).chain(previous.map(|previous| &previous.hash));
        hashes.into_iter().find(|hash| self.verifier.is_key(secret, hash, mode)).cloned().map(CredentialVersion)
    }

    /// Returns the principal of a login token.
    ///
    /// # Errors
    /// `AuthInvalid` for any token that is not valid now.
    pub(crate) async fn authenticate_jwt(&self, token: &str, ip: Option<String>) -> Result<Principal> {
        let refuse = |failure: AuthFailure<'_>| {
            self.auth_failures.note(failure);
            Error::AuthInvalid
        };
        // The key of the configuration has no prefix that would tell it from a login token.
        if self.configured_key.as_ref().is_some_and(|configured| configured.is_key(token)) {
            return Ok(ConfiguredKey::principal(ip));
        }
        let failed = |reason| AuthFailure::new(AuthFailureKind::LoginToken, ip.as_deref(), reason);
        let claims = jwt::read_login(&self.keys.token_secret, token, self.context.now());
        let LoginClaims { sub: id, generation, .. } = claims.map_err(|why| refuse(failed(why.word())))?;
        let row = self.store.user_get(id).await?.ok_or_else(|| refuse(failed("of an unknown user").of(id)))?;
        if row.login_generation != generation || row.user.disabled_at.is_some() {
            return Err(refuse(failed("ended, or of a disabled user").of(id).with("username", row.user.username)));
        }
        let teams = self.store.team_memberships(id).await?;
        let teams = self.allow_lists().usable_teams(teams, ip.as_deref());
        let version = CredentialVersion(generation.to_string());
        Ok(principal_of(Credential::Login(id), Some(version), row.user, teams, ip))
    }

    /// Exchanges a name and a password for a login token.
    ///
    /// # Errors
    /// `AuthInvalid` where either is wrong, or the user is disabled; `RateLimited` where too many others are logging in, or the
    /// mode does not suffice: verified passwords are not cached.
    pub(crate) async fn login(
        &self,
        request: LoginRequest,
        ip: Option<String>,
        mode: VerifyMode,
    ) -> Result<LoginResponse> {
        let LoginRequest { username, password } = request;
        if mode == VerifyMode::CachedOnly {
            // The user is not looked up either, so that the failure has no more than the length.
            let failure =
                AuthFailure::new(AuthFailureKind::Password, ip.as_deref(), "not checked, after too many failures");
            self.auth_failures.note(failure.with("username_length", username.len()));
            return Err(mode.refusal());
        }
        let row = self.store.user_find(&username).await?;
        let is_right = if password.len() > passwords::LONGEST {
            false
        } else {
            let hash = row.as_ref().map(|row| row.password_hash.clone());
            self.verifier.is_password(password, hash).await?
        };
        let UserRow { user, login_generation, .. } = match row {
            Some(row) if is_right && row.user.disabled_at.is_none() => row,
            row => {
                self.auth_failures.note(login_failure(&username, row.as_ref(), is_right, ip.as_deref()));
                return Err(Error::AuthInvalid);
            }
        };
        // There is no token without its record.
        self.audit.audit_append(self.login_record(&user, ip)).await?;
        let now = self.context.now();
        let expires_at = now.plus(self.context.settings().login_lifetime);
        let login = jwt::LoginToken { user: user.id, role: user.role.clone(), generation: login_generation };
        let secret = &self.keys.token_secret;
        let token = jwt::sign_login(secret, &self.context.settings().external_url, login, now, expires_at);
        Ok(LoginResponse { token, expires_at, user })
    }

    fn login_record(&self, user: &User, ip: Option<String>) -> AuditDraft {
        let actor = Actor { kind: "user".into(), id: user.id.to_string(), name: user.username.clone(), ip };
        draft(&self.context, actor, AuditAction::AuthLogin, Subject::new(user.id), json!({}), AuditResult::Success)
    }
}

/// A login that failed. It has the name of a user who exists: any other name may be a password in the wrong field.
fn login_failure<'f>(username: &str, row: Option<&UserRow>, is_right: bool, ip: Option<&'f str>) -> AuthFailure<'f> {
    let failed = |reason| AuthFailure::new(AuthFailureKind::Password, ip, reason);
    match row {
        Some(row) => {
            let reason = if is_right { "of a disabled user" } else { "wrong" };
            failed(reason).of(row.user.id).with("username", row.user.username.as_str())
        }
        None => failed("of an unknown user").with("username_length", username.len()),
    }
}

/// The principal of a credential.
pub(super) fn principal_of(
    credential: Credential,
    version: Option<CredentialVersion>,
    user: User,
    teams: Vec<(TeamId, Role)>,
    ip: Option<String>,
) -> Principal {
    Principal {
        ip,
        teams: teams.into_iter().collect(),
        credential_version: version,
        ..Principal::new(credential, user.username, user.role)
    }
}
