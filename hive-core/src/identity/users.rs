//! Users and their passwords.

use data_encoding::BASE64URL_NOPAD;
use hive_wire::UserId;
use hive_wire::api::{Changed, NewPassword, NewUser, PasswordChange, PlatformRole, User, UserCreate, UserUpdate};
use hive_wire::credential::Secret;
use serde_json::json;

use super::auth_failures::{AuthFailure, AuthFailureKind};
use super::losses::{needed_roles, where_any};
use super::passwords;
use super::service::IdentityService;
use super::verifier::hash_password;
use crate::access::{AccessDecision, Permission, Principal, ResourceScope, may};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, record};
use crate::authorization::forbidden;
use crate::store::{self, UserPatch, UserRow, UserUpdateOutcome};
use crate::validate::check_known;
use crate::{Error, Result};

impl IdentityService {
    /// Finds a user whom the principal may change. Without the permission every user id is reported as not found.
    pub(super) async fn user_for(&self, principal: &Principal, id: UserId) -> Result<Option<UserRow>> {
        match may(principal, &Permission::UsersManage, ResourceScope::Platform) {
            AccessDecision::Allow => Ok(self.store.user_get(id).await?),
            AccessDecision::Forbid => Err(forbidden(&Permission::UsersManage)),
            AccessDecision::Hide => Ok(None),
        }
    }

    pub(super) async fn create_user(&self, principal: &Principal, user: UserCreate) -> Result<NewUser> {
        let UserCreate { username, role } = user;
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
        if !(1..=64).contains(&username.len()) || !username.chars().all(is_allowed) {
            return Err(Error::invalid("username", "1 to 64 characters of a-z, 0-9 and ._@-"));
        }
        check_known("role", &role)?;
        if role == PlatformRole::GlobalAdmin {
            check_unlimited(principal)?;
        }
        let (id, created_at) = (UserId::new(self.context.seed()), self.context.now());
        let user = User { id, username, role, created_at, disabled_at: None };
        let (password, password_hash) = self.random_password().await?;
        let details = json!({ "username": user.username, "role": user.role });
        let record = record(&self.context, principal, AuditAction::UserCreate, Subject::new(user.id), details);
        let user = self.store.user_create(store::NewUserRow { user, password_hash }, record).await?;
        Ok(NewUser { user, password })
    }

    pub(super) async fn update_user(
        &self,
        principal: &Principal,
        user: &User,
        update: UserUpdate,
    ) -> Result<Changed<User>> {
        update.role.iter().try_for_each(|role| check_known("role", role))?;
        if update.role == Some(PlatformRole::GlobalAdmin) {
            check_unlimited(principal)?;
        }
        let details = json!({ "username": user.username, "changes": update });
        let UserUpdate { role, disabled } = update;
        let record = record(&self.context, principal, AuditAction::UserUpdate, Subject::new(user.id), details);
        let patch = UserPatch { role, disabled, needed: needed_roles(), now: self.context.now() };
        match self.store.user_update(user.id, patch, record).await? {
            UserUpdateOutcome::Updated(user, losses) => {
                // Who was disabled loses open streams too, not only the next request.
                let revoked = self.follow_losses(user.id, &losses).await;
                Ok(Changed { value: user, revoked: where_any(revoked) })
            }
            UserUpdateOutcome::LastAdmin => Err(Error::Conflict("this is the last global admin".into())),
            UserUpdateOutcome::Unknown => Err(no_user(user.id)),
        }
    }

    pub(super) async fn reset_password(&self, principal: &Principal, user: &User) -> Result<NewPassword> {
        check_unlimited(principal)?;
        let (password, hash) = self.random_password().await?;
        let details = json!({ "username": user.username });
        let subject = Subject::new(user.id);
        let record = record(&self.context, principal, AuditAction::UserPasswordReset, subject, details);
        let is_set = self.store.user_password_set(user.id, hash, None, record).await?;
        self.grants.revalidate(user.id).await;
        is_set.then_some(NewPassword { password }).ok_or_else(|| no_user(user.id))
    }

    pub(super) async fn change_password(
        &self,
        principal: &Principal,
        user: UserId,
        change: PasswordChange,
    ) -> Result<()> {
        let PasswordChange { current: Secret(current), new: Secret(new) } = change;
        let row = self.store.user_get(user).await?.ok_or(Error::AuthInvalid)?;
        passwords::check(&new, &row.user.username)?;
        let wrong = || Error::invalid("current", "is not the current password");
        if !self.verifier.is_password(current, Some(row.password_hash.clone())).await? {
            let failure = AuthFailure::new(AuthFailureKind::Password, principal.ip.as_deref(), "wrong");
            self.auth_failures.note(failure.of(user).with("username", row.user.username));
            return Err(wrong());
        }
        let hash = hash_password(new, self.context.source()).await?;
        let record = record(&self.context, principal, AuditAction::UserPasswordChange, Subject::new(user), json!({}));
        // Only where the checked password is still the current one.
        let is_set = self.store.user_password_set(user, hash, Some(row.password_hash), record).await?;
        self.grants.revalidate(user).await;
        is_set.then_some(()).ok_or_else(wrong)
    }

    async fn random_password(&self) -> Result<(Secret, String)> {
        let source = self.context.source();
        let password = BASE64URL_NOPAD.encode(&source.random::<18>());
        let hash = hash_password(password.clone(), source).await?;
        Ok((Secret(password), hash))
    }
}

/// Refuses a limited key what would make a login with more rights than its own.
fn check_unlimited(principal: &Principal) -> Result<()> {
    if principal.is_limited() {
        return Err(Error::Forbidden("a limited API key makes no admins and no passwords of others".into()));
    }
    Ok(())
}

pub(crate) fn no_user(id: UserId) -> Error {
    Error::NotFound { what: "user", id: id.to_string() }
}

#[cfg(test)]
mod tests;
