//! What is set up without a login: by the server's own command line, and by programs that embed a hive.

use hive_wire::api::{ApiKeyCreate, NewApiKey, TeamMember, TeamMemberPut};

use crate::access::{Permission, Reach, Role};
use crate::hive::ActingHive;
use crate::{Error, Result};

impl ActingHive {
    /// Makes an API key for a user.
    ///
    /// # Errors
    /// `NotFound` where there is no such user.
    pub async fn api_key_create_for(&self, username: &str, key: ApiKeyCreate) -> Result<NewApiKey> {
        self.allow(Permission::UsersManage, Reach::Platform)?;
        self.make_api_key(self.find_user(username).await?.id, key).await
    }

    /// Makes a user a member of the team of this slug, or changes what they are there.
    ///
    /// # Errors
    /// `NotFound` where there is no such team or user.
    pub async fn team_member_add(&self, team: &str, username: &str, role: Role) -> Result<TeamMember> {
        let found = self.identity().team_list().await?.into_iter().find(|known| known.slug == team);
        let team = found.ok_or_else(|| Error::NotFound { what: "team", id: team.into() })?;
        self.identity().team_member_put(team.id, TeamMemberPut { username: username.into(), role }).await
    }
}
