//! Who is calling: API keys, logins and login tokens become a [`Principal`].

use hive_wire::api::{AuditResult, AuditTarget, LoginRequest, LoginResponse, User};
use hive_wire::credential::split_user_key;
use hive_wire::{AuditId, UserId};
use serde_json::json;

use super::{Hive, tokens};
use crate::access::{Credential, Permission, Principal};
use crate::audit::AuditDraft;
use crate::{Error, Result};

/// The longest password that is looked at, in bytes.
const MAX_PASSWORD: usize = 1024;

impl Hive {
    /// Finds out whose an API key is.
    ///
    /// # Errors
    /// `AuthInvalid` for any key that is malformed, unknown, wrong, revoked or expired: they look the same.
    pub async fn authenticate_api_key(&self, key: &str, ip: Option<String>) -> Result<Principal> {
        let (id, secret) = split_user_key(key).map_err(|_| Error::AuthInvalid)?;
        let row = self.store().api_key_get(id).await?.ok_or(Error::AuthInvalid)?;
        let is_over = row.revoked_at.is_some() || row.expires_at.is_some_and(|end| end <= self.source().now());
        if !self.inner.verifier.is_key(secret, &row.hash) || is_over {
            return Err(Error::AuthInvalid);
        }
        self.principal(Credential::ApiKey(id, row.user_id), row.user_id, ip, row.scopes).await
    }

    /// Finds out whose a login token is.
    ///
    /// # Errors
    /// `AuthInvalid` for any token that is not valid now.
    pub async fn authenticate_jwt(&self, token: &str, ip: Option<String>) -> Result<Principal> {
        let claims = tokens::read_login(&self.inner.keys.token_secret, token, self.source().now());
        let user = claims.map_err(|_| Error::AuthInvalid)?.sub;
        self.principal(Credential::Login(user), user, ip, None).await
    }

    /// Exchanges a name and a password for a login token.
    ///
    /// # Errors
    /// `AuthInvalid` where either is wrong; `RateLimited` where too many others are logging in.
    pub async fn login(&self, request: LoginRequest, ip: Option<String>) -> Result<LoginResponse> {
        let LoginRequest { username, password } = request;
        if password.len() > MAX_PASSWORD {
            return Err(Error::AuthInvalid);
        }
        let row = self.store().user_find(&username).await?;
        let hash = row.as_ref().map(|row| row.password_hash.clone());
        let is_right = self.inner.verifier.is_password(password, hash).await?;
        let Some(user) = row.map(|row| row.user).filter(|_| is_right) else {
            return Err(Error::AuthInvalid);
        };
        self.store().audit_append(self.login_record(&user, ip)).await?;
        let now = self.source().now();
        let expires_at = now.plus(self.settings().login_lifetime);
        let secret = &self.inner.keys.token_secret;
        let token = tokens::login(secret, &self.settings().external_url, user.id, user.role, now, expires_at);
        Ok(LoginResponse { token, expires_at, user })
    }

    async fn principal(
        &self,
        credential: Credential,
        user: UserId,
        ip: Option<String>,
        scopes: Option<std::collections::BTreeSet<Permission>>,
    ) -> Result<Principal> {
        let user = self.store().user_get(user).await?.ok_or(Error::AuthInvalid)?;
        let teams = self.store().team_memberships(user.id).await?.into_iter().collect();
        Ok(Principal { credential, name: user.username, ip, role: user.role, teams, scopes })
    }

    fn login_record(&self, user: &User, ip: Option<String>) -> AuditDraft {
        let actor =
            hive_wire::api::Actor { kind: "user".into(), id: user.id.to_string(), name: user.username.clone(), ip };
        AuditDraft {
            id: AuditId::new(self.source().seed()),
            timestamp: self.source().now(),
            actor,
            action: "auth.login",
            target: AuditTarget { kind: "user".into(), id: user.id.to_string() },
            team_id: None,
            details: json!({}),
            result: AuditResult::Success,
            error: None,
        }
    }
}
