//! Users, their passwords, and who is in which team.

use data_encoding::BASE64URL_NOPAD;
use hive_wire::api::{NewPassword, NewUser, PasswordChange, TeamMember, TeamMemberPut, User, UserCreate, UserUpdate};
use hive_wire::credential::Secret;
use hive_wire::{TeamId, UserId};
use serde_json::json;

use super::auth_failures::{AuthFailure, AuthFailureKind};
use super::passwords;
use super::verifier::hash_password;
use crate::access::{Permission, Reach, Verdict, may};
use crate::commands::payload::check_known;
use crate::hive::ActingHive;
use crate::hive::acting::Subject;
use crate::store::{self, UserPatch, UserRow, UserUpdated};
use crate::{Error, Result};

impl ActingHive {
    /// Finds a user the principal may change. Who may not looks for users in vain.
    pub(crate) async fn user_for(&self, id: UserId) -> Result<Option<UserRow>> {
        match may(&self.principal, &Permission::UsersManage, Reach::Platform) {
            Verdict::Allow => Ok(self.hive.store().user_get(id).await?),
            Verdict::Forbid => Err(Error::Forbidden(Permission::UsersManage.as_str().into())),
            Verdict::Hide => Ok(None),
        }
    }

    pub(crate) async fn add_user(&self, user: UserCreate) -> Result<NewUser> {
        let UserCreate { username, role } = user;
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
        if !(1..=64).contains(&username.len()) || !username.chars().all(is_allowed) {
            return Err(Error::invalid("username", "1 to 64 characters of a-z, 0-9 and ._@-"));
        }
        check_known("role", &role)?;
        let source = self.hive.source();
        let user = User { id: UserId::new(source.seed()), username, role, created_at: source.now(), disabled_at: None };
        let (password, password_hash) = self.random_password().await?;
        let details = json!({ "username": user.username, "role": user.role });
        let record = self.record("user.create", Subject::new("user", user.id), details);
        let user = self.hive.store().user_create(store::NewUser { user, password_hash }, record).await?;
        Ok(NewUser { user, password })
    }

    pub(crate) async fn change_user(&self, user: &User, update: UserUpdate) -> Result<User> {
        update.role.iter().try_for_each(|role| check_known("role", role))?;
        let details = json!({ "username": user.username, "changes": update });
        let UserUpdate { role, disabled } = update;
        let record = self.record("user.update", Subject::new("user", user.id), details);
        let patch = UserPatch { role, disabled, now: self.hive.source().now() };
        match self.hive.store().user_update(user.id, patch, record).await? {
            UserUpdated::Updated(user) => {
                self.hive.recheck(Some(user.id)).await;
                Ok(user)
            }
            UserUpdated::LastAdmin => Err(Error::Conflict("this is the last global admin".into())),
            UserUpdated::Unknown => Err(no_user(user.id)),
        }
    }

    pub(crate) async fn reset_password(&self, user: &User) -> Result<NewPassword> {
        let (password, hash) = self.random_password().await?;
        let details = json!({ "username": user.username });
        let record = self.record("user.password_reset", Subject::new("user", user.id), details);
        let is_set = self.hive.store().user_password_set(user.id, hash, None, record).await?;
        self.hive.recheck(Some(user.id)).await;
        is_set.then_some(NewPassword { password }).ok_or_else(|| no_user(user.id))
    }

    pub(crate) async fn change_password(&self, user: UserId, change: PasswordChange) -> Result<()> {
        let PasswordChange { current: Secret(current), new: Secret(new) } = change;
        let row = self.hive.store().user_get(user).await?.ok_or(Error::AuthInvalid)?;
        passwords::check(&new, &row.user.username)?;
        let wrong = || Error::invalid("current", "is not the current password");
        if !self.hive.inner.verifier.is_password(current, Some(row.password_hash.clone())).await? {
            let failure = AuthFailure::new(AuthFailureKind::Password, self.principal.ip.as_deref(), "wrong");
            self.hive.note_auth_failure(failure.of(user).with("username", row.user.username));
            return Err(wrong());
        }
        let hash = hash_password(new, self.hive.source()).await?;
        let record = self.record("user.password_change", Subject::new("user", user), json!({}));
        let is_set = self.hive.store().user_password_set(user, hash, Some(row.password_hash), record).await?;
        self.hive.recheck(Some(user)).await;
        is_set.then_some(()).ok_or_else(wrong)
    }

    async fn random_password(&self) -> Result<(Secret, String)> {
        let source = self.hive.source();
        let password = BASE64URL_NOPAD.encode(&source.random::<18>());
        let hash = hash_password(password.clone(), source).await?;
        Ok((Secret(password), hash))
    }

    /// Checks that the principal may say who is in a team. Another's team looks as if it did not exist.
    pub(crate) async fn allow_team(&self, team: TeamId) -> Result<()> {
        match may(&self.principal, &Permission::TeamsManage, Reach::Team(team)) {
            Verdict::Allow => self.check_team(Some(team)).await,
            Verdict::Forbid => Err(Error::Forbidden(Permission::TeamsManage.as_str().into())),
            Verdict::Hide => Err(Error::NotFound { what: "team", id: team.to_string() }),
        }
    }

    pub(crate) async fn put_member(&self, team: TeamId, member: TeamMemberPut) -> Result<TeamMember> {
        let TeamMemberPut { username, role } = member;
        check_known("role", &role)?;
        let user = self.find_user(&username).await?;
        let subject = Subject::new("team", team).of_team(Some(team));
        let details = json!({ "user_id": user.id, "username": user.username, "role": role });
        let record = self.record("team.member_put", subject, details);
        self.hive.store().team_member_put(team, user.id, role.clone(), record).await?;
        self.hive.recheck(Some(user.id)).await;
        Ok(TeamMember { user_id: user.id, username: user.username, role })
    }

    pub(crate) async fn remove_member(&self, team: TeamId, user: UserId) -> Result<()> {
        let subject = Subject::new("team", team).of_team(Some(team));
        let record = self.record("team.member_remove", subject, json!({ "user_id": user }));
        let is_removed = self.hive.store().team_member_remove(team, user, record).await?;
        self.hive.recheck(Some(user)).await;
        is_removed.then_some(()).ok_or_else(|| Error::NotFound { what: "team member", id: user.to_string() })
    }

    pub(crate) async fn find_user(&self, username: &str) -> Result<User> {
        let row = self.hive.store().user_find(username).await?;
        row.map(|row| row.user).ok_or_else(|| Error::NotFound { what: "user", id: username.into() })
    }
}

pub(crate) fn no_user(id: UserId) -> Error {
    Error::NotFound { what: "user", id: id.to_string() }
}

#[cfg(test)]
mod tests;
