//! The hive as somebody may use it: the one place where permission is checked.

use std::sync::Arc;

use hive_wire::api::{AuditResult, AuditTarget};
use hive_wire::{AuditId, SatelliteId, TeamId};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Hive;
use crate::access::{Permission, Principal, Reach, Verdict, may};
use crate::audit::AuditDraft;
use crate::store::SatelliteRow;
use crate::{AuditLogger, CommandRouter, DeviceRegistry, Error, HiveApi, Identity, JobManager, Result, SessionManager};

/// The hive as `principal` may use it.
#[derive(Debug, Clone)]
pub struct ActingHive {
    pub(crate) hive: Hive,
    pub(crate) principal: Principal,
}

/// What an audit record is about.
pub(crate) struct Subject {
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) team: Option<TeamId>,
}

impl Subject {
    pub(crate) fn new(kind: &'static str, id: impl ToString) -> Self {
        Self { kind, id: id.to_string(), team: None }
    }

    pub(crate) fn satellite(row: &SatelliteRow) -> Self {
        Self { kind: "satellite", id: row.id.to_string(), team: row.team_id }
    }

    pub(crate) fn of_team(mut self, team: Option<TeamId>) -> Self {
        self.team = team;
        self
    }
}

/// One area of a hive as a principal may use it: what the accessors of [`ActingHive`] give away.
pub(crate) struct Handle(ActingHive);

impl std::ops::Deref for Handle {
    type Target = ActingHive;

    fn deref(&self) -> &ActingHive {
        &self.0
    }
}

impl crate::sealed::Sealed for ActingHive {}

impl HiveApi for ActingHive {
    fn satellites(&self) -> Arc<dyn DeviceRegistry> {
        Arc::new(Handle(self.clone()))
    }

    fn commands(&self) -> Arc<dyn CommandRouter> {
        Arc::new(Handle(self.clone()))
    }

    fn jobs(&self) -> Arc<dyn JobManager> {
        Arc::new(Handle(self.clone()))
    }

    fn sessions(&self) -> Arc<dyn SessionManager> {
        Arc::new(Handle(self.clone()))
    }

    fn audit(&self) -> Arc<dyn AuditLogger> {
        Arc::new(Handle(self.clone()))
    }

    fn identity(&self) -> Arc<dyn Identity> {
        Arc::new(Handle(self.clone()))
    }
}

accessors!(ActingHive);

impl ActingHive {
    pub(crate) fn new(hive: Hive, principal: Principal) -> Self {
        Self { hive, principal }
    }

    /// Returns who acts.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Checks that the principal may do something that is not about one hidden thing.
    pub(crate) fn allow(&self, permission: Permission, reach: Reach) -> Result<()> {
        match may(&self.principal, &permission, reach) {
            Verdict::Allow => Ok(()),
            Verdict::Forbid | Verdict::Hide => Err(Error::Forbidden(permission.as_str().into())),
        }
    }

    /// Finds a satellite the principal may use `permission` on. One that is hidden looks as if it did not exist.
    pub(crate) async fn satellite_for(&self, id: SatelliteId, permission: Permission) -> Result<SatelliteRow> {
        let row = self.hive.store().satellite_get(id).await?;
        let row = row.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?;
        self.allow_satellite(row, &permission)
    }

    /// Checks that the principal may use `permission` on a satellite now; what to say of one that is of another team, where
    /// they have nothing of an earlier time to see.
    pub(crate) async fn satellite_seen_now(&self, id: SatelliteId, permission: Permission) -> Result<Option<Error>> {
        let row = self.hive.store().satellite_get(id).await?;
        let row = row.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?;
        match self.allow_satellite(row, &permission) {
            Ok(_) => Ok(None),
            Err(hidden @ Error::SatelliteNotFound(_)) => Ok(Some(hidden)),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn allow_satellite(&self, row: SatelliteRow, permission: &Permission) -> Result<SatelliteRow> {
        match may(&self.principal, permission, Reach::satellite(row.team_id)) {
            Verdict::Allow => Ok(row),
            Verdict::Forbid => Err(Error::Forbidden(permission.as_str().into())),
            Verdict::Hide => Err(Error::SatelliteNotFound(row.id.to_string())),
        }
    }

    /// Tells a listener something in a task of its own: as long as it listens, the principal may and the hive runs.
    pub(crate) async fn tell<T: Send + 'static>(
        &self,
        listener: &mpsc::Sender<T>,
        telling: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let (pass, listener) = (self.pass().await?, listener.clone());
        let shutdown = self.hive.inner.shutdown.clone();
        self.hive.inner.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = listener.closed() => {}
                _ = pass.lost() => {}
                () = telling => {}
            }
        });
        Ok(())
    }

    /// Drafts a record of something the principal did.
    pub(crate) fn record(&self, action: &'static str, subject: Subject, details: Value) -> AuditDraft {
        self.draft(action, subject, details, AuditResult::Success)
    }

    /// Drafts a record of something that will reach beyond the database.
    pub(crate) fn intent(&self, action: &'static str, subject: Subject, details: Value) -> AuditDraft {
        self.draft(action, subject, details, AuditResult::Intent)
    }

    pub(crate) fn draft(
        &self,
        action: &'static str,
        subject: Subject,
        details: Value,
        result: AuditResult,
    ) -> AuditDraft {
        AuditDraft {
            id: AuditId::new(self.hive.source().seed()),
            timestamp: self.hive.source().now(),
            actor: self.principal.actor(),
            action,
            target: AuditTarget { kind: subject.kind.into(), id: subject.id },
            team_id: subject.team,
            details,
            result,
            error: None,
        }
    }
}
