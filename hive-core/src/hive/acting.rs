//! The hive as somebody may use it: a principal and the accessors of the services.

use std::sync::Arc;

use hive_wire::api::{ApiKeyCreate, NewApiKey, TeamMember};
use hive_wire::ui::InitialSatellites;
use hive_wire::{SatelliteId, Timestamp};

use super::Hive;
use crate::access::{Permission, Principal, ResourceScope, Role};
use crate::answers::{ClaimedCall, KeyedCall};
use crate::authorization::authorize_action;
use crate::handle::ServiceHandle;
use crate::live::LiveFeed;
use crate::satellites::SatelliteHeartbeat;
use crate::{
    AuditLogger, CommandRouter, DeviceRegistry, GroupManager, HiveApi, Identity, JobManager, Result, SessionManager,
};

/// The hive as `principal` may use it. Each service checks the permission in the call that needs it.
#[derive(Debug, Clone)]
pub struct ActingHive {
    pub(super) hive: Hive,
    principal: Arc<Principal>,
}

impl crate::sealed::Sealed for ActingHive {}

impl HiveApi for ActingHive {
    fn satellites(&self) -> Arc<dyn DeviceRegistry> {
        Arc::new(ServiceHandle::new(&self.principal, &self.hive.services().satellites))
    }

    fn commands(&self) -> Arc<dyn CommandRouter> {
        Arc::new(ServiceHandle::new(&self.principal, &self.hive.services().exec))
    }

    fn jobs(&self) -> Arc<dyn JobManager> {
        Arc::new(ServiceHandle::new(&self.principal, &self.hive.services().jobs))
    }

    fn groups(&self) -> Arc<dyn GroupManager> {
        Arc::new(ServiceHandle::new(&self.principal, &self.hive.services().groups))
    }

    fn sessions(&self) -> Arc<dyn SessionManager> {
        Arc::new(ServiceHandle::new(&self.principal, &self.hive.services().sessions))
    }

    fn audit(&self) -> Arc<dyn AuditLogger> {
        Arc::new(ServiceHandle::new(&self.principal, &self.hive.services().audit))
    }

    fn identity(&self) -> Arc<dyn Identity> {
        Arc::new(ServiceHandle::new(&self.principal, &self.hive.services().identity))
    }
}

accessors!(ActingHive);

impl ActingHive {
    pub(super) fn new(hive: Hive, principal: Principal) -> Self {
        Self { hive, principal: Arc::new(principal) }
    }

    /// Returns who acts.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Claims an idempotency key for a call that is not a command or a job, or returns the answer to the same call. The rights of
    /// the caller are not checked here: check them first, as for the call itself ([`check_access`](Self::check_access)).
    ///
    /// # Errors
    /// `InvalidInput` for a text that is no key, `KeyConflict` where the key is in use and there is no answer to give.
    pub async fn claim_call(&self, key: String, call: KeyedCall<'_>) -> Result<ClaimedCall> {
        self.hive.services().answers.claim(&self.principal, key, call).await
    }

    /// Creates an API key for a user: for the server's own command line, and for programs that embed a hive.
    ///
    /// # Errors
    /// `NotFound` where there is no such user.
    pub async fn api_key_create_for(&self, username: &str, key: ApiKeyCreate) -> Result<NewApiKey> {
        authorize_action(&self.principal, &Permission::UsersManage, ResourceScope::Platform)?;
        let identity = &self.hive.services().identity;
        identity.create_api_key(&self.principal, identity.find_user(username).await?.id, key).await
    }

    /// Opens the stream of what the caller may see: the satellites first unless `initial` is none, then what changes of them, of
    /// sessions, commands and jobs.
    ///
    /// # Errors
    /// `AuthInvalid` where the credential is refused by now, `Unavailable` where the satellites cannot be read.
    pub async fn live_feed(&self, initial: InitialSatellites) -> Result<LiveFeed> {
        self.hive.services().live.open(&self.principal, initial).await
    }

    /// Returns the last heartbeat of a satellite; `None` if there was none, or the telemetry was lost.
    ///
    /// # Errors
    /// `SatelliteNotFound` where the caller may not read the satellite; `Unavailable` where the telemetry cannot be read.
    pub async fn latest_heartbeat(&self, satellite: SatelliteId) -> Result<Option<SatelliteHeartbeat>> {
        self.hive.services().satellites.latest_heartbeat(&self.principal, satellite).await
    }

    /// Lists up to `limit` heartbeats of a satellite that have the state of its machine, newest first: those before a time, and
    /// from the satellite's time in the teams of the caller. The last few seconds may be missing.
    ///
    /// # Errors
    /// As [`latest_heartbeat`](Self::latest_heartbeat).
    pub async fn heartbeat_history(
        &self,
        satellite: SatelliteId,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<SatelliteHeartbeat>> {
        self.hive.services().satellites.heartbeat_history(&self.principal, satellite, before, limit).await
    }

    /// Makes a user a member of the team of this slug, or changes their role there.
    ///
    /// # Errors
    /// `NotFound` where there is no such team or user.
    pub async fn team_member_add(&self, team: &str, username: &str, role: Role) -> Result<TeamMember> {
        self.hive.services().identity.put_member_by_slug(&self.principal, team, username, role).await
    }
}
