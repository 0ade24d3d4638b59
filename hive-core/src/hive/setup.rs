//! What is set up without a login: by the server's own command line, and by programs that embed a hive.

use data_encoding::BASE64URL_NOPAD;
use hive_wire::UserId;
use hive_wire::api::{ApiKeyCreate, NewApiKey, PlatformRole, User};
use secrecy::SecretString;
use serde_json::json;

use super::ActingHive;
use super::acting::Subject;
use super::hashing::hash_password;
use crate::access::{Permission, Reach, Role};
use crate::store::NewUser;
use crate::{Error, Result};

impl ActingHive {
    /// Adds a user with a random password, which is in the answer and nowhere else.
    ///
    /// # Errors
    /// `Conflict` where the name is taken; `InvalidInput` for a name that is not 1 to 64 characters of `[a-z0-9._@-]`.
    pub async fn user_create(&self, username: &str, role: PlatformRole) -> Result<(User, SecretString)> {
        self.allow(Permission::TeamsManage, Reach::Platform)?;
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
        if !(1..=64).contains(&username.len()) || !username.chars().all(is_allowed) {
            return Err(Error::invalid("username", "1 to 64 characters of a-z, 0-9 and ._@-"));
        }
        let source = self.hive.source();
        let password = BASE64URL_NOPAD.encode(&source.random::<18>());
        let user = User { id: UserId::new(source.seed()), username: username.into(), role, created_at: source.now() };
        let password_hash = hash_password(password.clone(), source).await?;
        let record =
            self.record("user.create", Subject::new("user", user.id), json!({ "username": username, "role": role }));
        let user = self.hive.store().user_create(NewUser { user, password_hash }, record).await?;
        Ok((user, password.into()))
    }

    /// Makes an API key for a user.
    ///
    /// # Errors
    /// `NotFound` where there is no such user.
    pub async fn api_key_create_for(&self, username: &str, key: ApiKeyCreate) -> Result<NewApiKey> {
        self.allow(Permission::TeamsManage, Reach::Platform)?;
        self.make_api_key(self.find_user(username).await?.id, key).await
    }

    /// Makes a user a member of a team, or changes what they are there.
    ///
    /// # Errors
    /// `NotFound` where there is no such team or user.
    pub async fn team_member_add(&self, team: &str, username: &str, role: Role) -> Result<()> {
        self.allow(Permission::TeamsManage, Reach::Platform)?;
        let teams = self.hive.store().team_list().await?;
        let found = teams.into_iter().find(|known| known.slug == team || known.id.to_string() == team);
        let team = found.ok_or_else(|| Error::NotFound { what: "team", id: team.into() })?;
        let user = self.find_user(username).await?;
        let subject = Subject::new("team", team.id).of_team(Some(team.id));
        let record = self.record("team.member_put", subject, json!({ "user_id": user.id, "role": role }));
        Ok(self.hive.store().team_member_put(team.id, user.id, role, record).await?)
    }

    async fn find_user(&self, username: &str) -> Result<User> {
        let row = self.hive.store().user_find(username).await?;
        row.map(|row| row.user).ok_or_else(|| Error::NotFound { what: "user", id: username.into() })
    }
}
