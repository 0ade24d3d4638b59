//! What is revoked together with a right: the store revokes it, and the services that run it learn of it here.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use hive_wire::UserId;
use hive_wire::api::RevokedWork;

use super::service::IdentityService;
use crate::access::{Permission, Role, least_role};
use crate::store::{CancelledCommand, Losses, NeededRoles};

/// Follows the loss of rights.
#[async_trait]
pub(crate) trait IdentityObserver: Send + Sync {
    /// Follows the store in cancelling queued commands. The call that made the change waits for this.
    async fn on_cancelled(self: Arc<Self>, commands: &[CancelledCommand]);
}

impl IdentityService {
    /// Adds an observer of lost rights.
    pub(crate) fn observe(&self, observer: Weak<dyn IdentityObserver>) {
        self.observers.add(observer);
    }

    /// Ends the streams of a user that need more than the rights that are left, and reports what the store has revoked. It is done
    /// before the answer: nothing goes on when the caller reads that the right is gone.
    pub(super) async fn follow_losses(&self, user: UserId, losses: &Losses) -> RevokedWork {
        // First the streams, so that none of them reports what is cancelled below.
        self.grants.revalidate(user).await;
        if !losses.commands.is_empty() {
            for observer in self.observers.all() {
                observer.on_cancelled(&losses.commands).await;
            }
        }
        revoked(losses)
    }
}

/// The roles that queued work and tokens need, by the permission matrix.
pub(crate) fn needed_roles() -> NeededRoles {
    let least = |permission| least_role(&permission).unwrap_or(Role::Admin);
    NeededRoles {
        exec: least(Permission::SatellitesExec),
        power: least(Permission::SatellitesPower),
        tokens: least(Permission::TokensManage),
    }
}

fn revoked(losses: &Losses) -> RevokedWork {
    let Losses { commands, registration_tokens, api_keys } = losses;
    let job_targets = commands.iter().filter(|command| command.job_id.is_some()).count() as u64;
    RevokedWork {
        // A target is counted once, with its job.
        commands: commands.len() as u64 - job_targets,
        job_targets,
        registration_tokens: *registration_tokens,
        api_keys: *api_keys,
    }
}

/// What a change reports: nothing where nothing was revoked.
pub(super) fn where_any(revoked: RevokedWork) -> Option<RevokedWork> {
    (revoked != RevokedWork::default()).then_some(revoked)
}
