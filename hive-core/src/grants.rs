//! Streams and terminals outlive the call that opened them, and must not outlive the caller's right to them.
//!
//! Each holds a [`Pass`]. What takes a right away in this process looks through the passes at once ([`Hive::recheck`]); what
//! another process did to the same storage, and keys that expire, the sweeper finds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use hive_wire::api::{PlatformRole, Role};
use hive_wire::{TeamId, UserId};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::access::Credential;
use crate::hive::{ActingHive, Hive};
use crate::store::ApiKeyOwner;
use crate::{Error, Result};

/// The passes that are out.
#[derive(Debug, Default)]
pub(crate) struct Passes(Mutex<Issued>);

#[derive(Debug, Default)]
struct Issued {
    next: u64,
    passes: BTreeMap<u64, Arc<Holder>>,
}

/// Who holds a pass.
#[derive(Debug)]
struct Holder {
    credential: Credential,
    /// What they were when they got it; none where whoever embeds the hive vouches for them.
    before: Option<Standing>,
    /// Why the pass is not good any more.
    lost: OnceLock<Lost>,
    is_lost: CancellationToken,
}

/// What somebody is as long as their credential stays what it is.
#[derive(Debug)]
struct Standing {
    /// The hash of the key, or the generation of the login.
    proof: String,
    role: PlatformRole,
    teams: BTreeMap<TeamId, Role>,
}

impl Standing {
    fn new(proof: String, role: PlatformRole, teams: Vec<(TeamId, Role)>) -> Self {
        Self { proof, role, teams: teams.into_iter().collect() }
    }

    /// What was lost since `before`.
    fn lost_since(&self, before: &Self) -> Option<Lost> {
        if self.proof != before.proof {
            return Some(Lost::Credential);
        }
        let is_kept = |(team, role): (&TeamId, &Role)| {
            !role.is_known() || self.teams.get(team).is_some_and(|now| now.is_at_least(role))
        };
        let may_as_much = match (&before.role, &self.role) {
            (_, PlatformRole::GlobalAdmin) | (PlatformRole::Unknown(_), _) => true,
            (_, PlatformRole::Unknown(_)) | (PlatformRole::GlobalAdmin, PlatformRole::GlobalUser) => false,
            (PlatformRole::GlobalUser, PlatformRole::GlobalUser) => before.teams.iter().all(is_kept),
        };
        (!may_as_much).then_some(Lost::Rights)
    }
}

/// What the hive knows of a credential.
enum Known {
    Good(Standing),
    Refused,
    /// It is none of ours.
    Foreign,
}

/// Why a pass is not good any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The credential is refused now.
    Credential,
    /// The caller may less than before: what is left they find out by asking again.
    Rights,
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Credential => Self::AuthInvalid,
            Lost::Rights => Self::unavailable("what the caller may do has changed"),
        }
    }
}

/// The leave to go on with something that takes long.
#[derive(Debug)]
pub(crate) struct Pass {
    hive: Hive,
    number: u64,
    holder: Arc<Holder>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.hive.inner.passes.locked().passes.remove(&self.number);
    }
}

impl Pass {
    /// Waits until it is not good any more. Dropping the future loses nothing.
    pub(crate) async fn lost(&self) -> Lost {
        self.holder.is_lost.cancelled().await;
        *self.holder.lost.get().expect("the reason is set before the token is cancelled")
    }

    /// Whether it is still good.
    pub(crate) fn check(&self) -> Result<()> {
        self.holder.lost.get().map_or(Ok(()), |lost| Err((*lost).into()))
    }
}

impl Passes {
    fn locked(&self) -> std::sync::MutexGuard<'_, Issued> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }

    fn holders(&self) -> Vec<Arc<Holder>> {
        self.locked().passes.values().cloned().collect()
    }
}

impl ActingHive {
    /// Gives the principal a pass.
    pub(crate) async fn pass(&self) -> Result<Pass> {
        let credential = self.principal.credential;
        let before = match self.hive.known(credential).await? {
            Known::Good(standing) => Some(standing),
            Known::Refused => return Err(Error::AuthInvalid),
            Known::Foreign => None,
        };
        let holder = Arc::new(Holder { credential, before, lost: OnceLock::new(), is_lost: CancellationToken::new() });
        let mut issued = self.hive.inner.passes.locked();
        issued.next += 1;
        let number = issued.next;
        issued.passes.insert(number, holder.clone());
        drop(issued);
        Ok(Pass { hive: self.hive.clone(), number, holder })
    }
}

impl Hive {
    /// Looks whether a user's passes are still good, or everybody's. What cannot be read now is looked at with the next
    /// sweep.
    pub(crate) async fn recheck(&self, user: Option<UserId>) {
        let is_meant = |holder: &Arc<Holder>| user.is_none() || holder.credential.user() == user;
        for holder in self.inner.passes.holders().into_iter().filter(is_meant) {
            match self.why_lost(&holder).await {
                Ok(None) => {}
                Ok(Some(lost)) => {
                    // Only the first reason counts.
                    holder.lost.set(lost).ok();
                    holder.is_lost.cancel();
                }
                Err(error) => warn!(error = %error, "cannot look whether a caller may go on"),
            }
        }
    }

    async fn why_lost(&self, holder: &Holder) -> Result<Option<Lost>> {
        let Some(before) = &holder.before else { return Ok(None) };
        Ok(match self.known(holder.credential).await? {
            Known::Good(now) => now.lost_since(before),
            Known::Refused | Known::Foreign => Some(Lost::Credential),
        })
    }

    async fn known(&self, credential: Credential) -> Result<Known> {
        Ok(match credential {
            Credential::System => Known::Foreign,
            Credential::ApiKey(key, _) => match self.store().api_key_owner(key).await? {
                None => Known::Foreign,
                Some(owner) if self.is_key_over(&owner) => Known::Refused,
                Some(owner) => Known::Good(Standing::new(owner.key.hash, owner.user.role, owner.teams)),
            },
            Credential::Login(id) => match self.store().user_get(id).await? {
                None => Known::Foreign,
                Some(row) if row.user.disabled_at.is_some() => Known::Refused,
                Some(row) => {
                    let teams = self.store().team_memberships(id).await?;
                    Known::Good(Standing::new(row.login_generation.to_string(), row.user.role, teams))
                }
            },
        })
    }

    /// Whether a key is refused, however well its secret is known.
    pub(crate) fn is_key_over(&self, owner: &ApiKeyOwner) -> bool {
        let ApiKeyOwner { key, user, teams: _ } = owner;
        let is_expired = key.expires_at.is_some_and(|end| end <= self.source().now());
        is_expired || key.revoked_at.is_some() || user.disabled_at.is_some()
    }
}
