//! Whether a principal may do something at all, apart from doing it. An edge asks before it tells a caller what is wrong with their
//! input.

use hive_wire::api::GroupRef;
use hive_wire::{
    ApiKeyId, AuditId, CommandId, GroupId, JobId, RegistrationTokenId, SatelliteId, SessionId, TeamId, UserId,
};

use super::ActingHive;
use crate::access::{Permission, ResourceScope, visible_scope};
use crate::authorization::{authorize, authorize_action, forbidden, group_for, satellite_for};
use crate::{Error, Result};

/// What a permission is checked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessObject {
    /// The hive as a whole.
    Platform,
    /// The rows that the principal may see, which may be none.
    Visible,
    /// Something that is not known yet: the permission is needed somewhere.
    Anywhere,
    /// The principal's own things.
    Own,
    /// A satellite.
    Satellite(SatelliteId),
    /// A command.
    Command(CommandId),
    /// A job.
    Job(JobId),
    /// A session.
    Session(SessionId),
    /// A group.
    Group(GroupId),
    /// A team.
    Team(TeamId),
    /// A user.
    User(UserId),
    /// An API key of the principal's user, or of anybody with `api_keys.any`.
    ApiKey(ApiKeyId),
    /// A registration token.
    RegistrationToken(RegistrationTokenId),
    /// An audit record.
    AuditRecord(AuditId),
}

impl ActingHive {
    /// Checks that the principal may use a permission on an object, as the call that does it checks.
    ///
    /// # Errors
    /// `NotFound`, `SatelliteNotFound` or `SessionNotFound` where the object does not exist or is hidden from the principal;
    /// `Forbidden` where the principal has not the permission.
    pub async fn check_access(&self, permission: &Permission, object: AccessObject) -> Result<()> {
        let (principal, services) = (self.principal(), self.hive.services());
        let absent = |what, id: &dyn std::fmt::Display| Error::NotFound { what, id: id.to_string() };
        match object {
            AccessObject::Platform => authorize_action(principal, permission, ResourceScope::Platform),
            AccessObject::Own => authorize_action(principal, permission, ResourceScope::Own),
            AccessObject::Visible => Ok(()),
            AccessObject::Anywhere => self.check_anywhere(permission),
            AccessObject::Satellite(id) => {
                satellite_for(services.store.as_ref(), principal, id, permission).await.map(drop)
            }
            AccessObject::Command(id) => {
                let found = services.commands.find_for(principal, id, permission).await?;
                found.map(drop).ok_or_else(|| absent("command", &id))
            }
            AccessObject::Job(id) => {
                let found = services.jobs.find_for(principal, id, permission).await?;
                found.map(drop).ok_or_else(|| absent("job", &id))
            }
            AccessObject::Session(id) => {
                let found = self.sessions().get(id).await?;
                found.map(drop).ok_or_else(|| Error::SessionNotFound(id.to_string()))
            }
            AccessObject::Group(id) => {
                group_for(services.store.as_ref(), principal, &GroupRef::Id(id), permission).await.map(drop)
            }
            AccessObject::Team(id) => {
                authorize(principal, permission, ResourceScope::Team(id), || absent("team", &id))?;
                services.identity.check_team(Some(id)).await
            }
            AccessObject::User(id) => self.identity().user_get(id).await?.map(drop).ok_or_else(|| absent("user", &id)),
            AccessObject::ApiKey(id) => services.identity.key_owner_for(principal, id).await.map(drop),
            AccessObject::RegistrationToken(id) => {
                let is_known =
                    self.identity().registration_token_list().await?.iter().any(|token| token.token_id == id);
                is_known.then_some(()).ok_or_else(|| absent("registration token", &id))
            }
            AccessObject::AuditRecord(id) => {
                self.audit().get(id).await?.map(drop).ok_or_else(|| absent("audit record", &id))
            }
        }
    }

    fn check_anywhere(&self, permission: &Permission) -> Result<()> {
        let is_nowhere = visible_scope(self.principal(), permission).is_nothing();
        if is_nowhere { Err(forbidden(permission)) } else { Ok(()) }
    }
}
