//! The grants of open streams and attachments. They outlive the call that opened them, but not the rights of the caller.
//!
//! Each of them holds a [`GrantGuard`]. A change in this process that takes a right away revalidates the user's grants at once
//! ([`AccessGrants::revalidate`]). Housekeeping revalidates all grants, by credential, for changes that another process made to the same
//! database and for keys that expire.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};

use futures_util::{StreamExt, stream};
use hive_wire::api::{PlatformRole, Role};
use hive_wire::{TeamId, Timestamp, UserId};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::access::{Credential, CredentialVersion, Principal};
use crate::allow_lists::AllowLists;
use crate::context::ServiceContext;
use crate::networks::is_allowed_address;
use crate::store::{ApiKeyOwner, IdentityStore};
use crate::sync::lock;
use crate::{Error, Result};

/// Credentials that are read from the store at the same time: callers need its connections too.
const READS_AT_ONCE: usize = 4;

/// All issued grants.
pub(crate) struct AccessGrants {
    store: Arc<dyn IdentityStore>,
    allow_lists: Arc<AllowLists>,
    context: ServiceContext,
    issued: Mutex<Issued>,
    /// The credentials that were revalidated since the last sweep that came to its end.
    done_in_sweep: Mutex<HashSet<Credential>>,
}

#[derive(Default)]
struct Issued {
    last_number: u64,
    grants: BTreeMap<u64, Arc<Grant>>,
}

/// The right of one caller to one stream or attachment.
#[derive(Debug)]
struct Grant {
    credential: Credential,
    /// The address of the caller.
    ip: Option<String>,
    /// The caller's rights when it was issued; `None` for a caller that the embedding program has authenticated.
    before: Option<GrantSnapshot>,
    revoked: OnceLock<RevokeReason>,
    is_revoked: CancellationToken,
}

impl Grant {
    /// Revokes the grant if its credential, whose state this is now, does not allow it any more.
    fn revoke_by(&self, state: &CredentialState) {
        let Some(before) = &self.before else { return };
        let reason = match state {
            CredentialState::Valid(now) if !now.allows(self.ip.as_deref()) => Some(RevokeReason::Credential),
            CredentialState::Valid(now) => now.revoked_since(before),
            // Foreign now, but valid when the grant was issued: the row was deleted meanwhile.
            CredentialState::Refused | CredentialState::Foreign => Some(RevokeReason::Credential),
        };
        if let Some(reason) = reason {
            self.revoke(reason);
        }
    }

    /// Revokes the grant if a team that it was issued for may not be used from the address of its caller any more.
    fn revoke_by_address(&self, lists: &AllowLists) {
        // A global admin has no rights by a team, and loses none with one.
        let before = self.before.as_ref().filter(|before| before.role == PlatformRole::GlobalUser);
        if before.is_some_and(|before| lists.refuses_any(&before.teams, self.ip.as_deref())) {
            self.revoke(RevokeReason::Rights);
        }
    }

    fn revoke(&self, reason: RevokeReason) {
        // Before the token is cancelled: whoever it wakes reads the reason. It is set already if the grant was revoked
        // before, and then the first reason counts.
        self.revoked.set(reason).ok();
        self.is_revoked.cancel();
    }
}

/// The role and teams of a caller, and the version of its credential.
#[derive(Debug)]
struct GrantSnapshot {
    /// The hash of the key, or the generation of the login.
    credential_version: String,
    /// The version of a key before its last rotation, during the overlap.
    previous_version: Option<String>,
    /// The networks from which a key may be used.
    addresses: Option<Vec<String>>,
    role: PlatformRole,
    teams: BTreeMap<TeamId, Role>,
}

impl GrantSnapshot {
    fn new(credential_version: String, role: PlatformRole, teams: Vec<(TeamId, Role)>) -> Self {
        let teams = teams.into_iter().collect();
        Self { credential_version, previous_version: None, addresses: None, role, teams }
    }

    fn of_key(owner: ApiKeyOwner, now: Timestamp) -> Self {
        let ApiKeyOwner { key, user, teams } = owner;
        let previous = key.previous.filter(|previous| previous.until > now);
        Self {
            previous_version: previous.map(|previous| previous.hash),
            addresses: key.addresses,
            ..Self::new(key.hash, user.role, teams)
        }
    }

    /// Whether the credential may be used from this address.
    fn allows(&self, ip: Option<&str>) -> bool {
        is_allowed_address(self.addresses.as_deref(), ip)
    }

    /// Whether what was issued with this version of the credential may go on.
    fn accepts(&self, version: &str) -> bool {
        self.credential_version == version || self.previous_version.as_deref() == Some(version)
    }

    /// Returns why a grant that was issued with `before` is revoked now; `None` if the caller has lost nothing.
    fn revoked_since(&self, before: &Self) -> Option<RevokeReason> {
        // A key that was rotated has another hash, and a user whose password was changed another generation.
        if !self.accepts(&before.credential_version) {
            return Some(RevokeReason::Credential);
        }
        // A role of a newer version grants nothing here, so that losing it takes nothing away.
        let is_kept = |(team, role): (&TeamId, &Role)| {
            !role.is_known() || self.teams.get(team).is_some_and(|now| now.is_at_least(role))
        };
        // More rights than before revoke nothing: the stream shows what it was opened for.
        let may_as_much = match (&before.role, &self.role) {
            (_, PlatformRole::GlobalAdmin) | (PlatformRole::Unknown(_), _) => true,
            (_, PlatformRole::Unknown(_)) | (PlatformRole::GlobalAdmin, PlatformRole::GlobalUser) => false,
            (PlatformRole::GlobalUser, PlatformRole::GlobalUser) => before.teams.iter().all(is_kept),
        };
        (!may_as_much).then_some(RevokeReason::Rights)
    }
}

/// The state of a credential in this hive.
enum CredentialState {
    Valid(GrantSnapshot),
    Refused,
    /// The hive does not have it. A grant that is issued for it is never revalidated.
    Foreign,
}

/// Why a grant was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RevokeReason {
    /// The credential is refused now.
    Credential,
    /// The caller lost a role or a team. A new call uses the rights that are left.
    Rights,
}

impl From<RevokeReason> for Error {
    fn from(reason: RevokeReason) -> Self {
        match reason {
            RevokeReason::Credential => Self::AuthInvalid,
            // `Unavailable` and not `Forbidden`: the rights that are left may suffice, so a client is to try again.
            RevokeReason::Rights => Self::unavailable("the caller's rights have changed; call again"),
        }
    }
}

/// Holds a grant. Dropping it gives the grant back.
pub(crate) struct GrantGuard {
    grants: Arc<AccessGrants>,
    number: u64,
    grant: Arc<Grant>,
}

impl GrantGuard {
    /// Waits until the grant is revoked. Dropping the future loses nothing.
    pub(crate) async fn revoked(&self) -> RevokeReason {
        self.grant.is_revoked.cancelled().await;
        *self.grant.revoked.get().expect("the reason is set before the token is cancelled")
    }

    /// Checks that the grant is not revoked.
    pub(crate) fn check(&self) -> Result<()> {
        self.grant.revoked.get().map_or(Ok(()), |reason| Err((*reason).into()))
    }
}

impl Drop for GrantGuard {
    fn drop(&mut self) {
        lock(&self.grants.issued).grants.remove(&self.number);
    }
}

impl std::fmt::Debug for GrantGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrantGuard").field("grant", &self.grant).finish_non_exhaustive()
    }
}

impl AccessGrants {
    pub(crate) fn new(store: Arc<dyn IdentityStore>, allow_lists: Arc<AllowLists>, context: ServiceContext) -> Self {
        Self { store, allow_lists, context, issued: Mutex::default(), done_in_sweep: Mutex::default() }
    }

    /// Issues a grant to a principal.
    ///
    /// # Errors
    /// `AuthInvalid` where its credential is refused by now.
    pub(crate) async fn issue(self: &Arc<Self>, principal: &Principal) -> Result<GrantGuard> {
        let credential = principal.credential;
        let before = match self.credential_state(credential).await? {
            CredentialState::Valid(mut snapshot) => {
                if let Some(CredentialVersion(presented)) = &principal.credential_version {
                    // Rotated, or its password changed, since the call was authenticated.
                    if !snapshot.accepts(presented) {
                        return Err(Error::AuthInvalid);
                    }
                    // A stream of the secret before a rotation ends with the overlap, whenever it was opened.
                    snapshot.credential_version.clone_from(presented);
                }
                // The rights that the caller has from its address: those of other teams cannot be lost.
                snapshot.teams = self.allow_lists.usable_teams(snapshot.teams, principal.ip.as_deref());
                Some(snapshot)
            }
            CredentialState::Refused => return Err(Error::AuthInvalid),
            CredentialState::Foreign => None,
        };
        let grant = Arc::new(Grant {
            credential,
            ip: principal.ip.clone(),
            before,
            revoked: OnceLock::new(),
            is_revoked: CancellationToken::new(),
        });
        // A right that is revoked between the read above and this insert is not seen by that revalidation. Housekeeping
        // revalidates all grants a few seconds later. Allow lists are in memory, and compared once more.
        let mut issued = lock(&self.issued);
        issued.last_number += 1;
        let number = issued.last_number;
        issued.grants.insert(number, grant.clone());
        drop(issued);
        grant.revoke_by_address(&self.allow_lists);
        Ok(GrantGuard { grants: self.clone(), number, grant })
    }

    /// Runs a stream in a task of its own, until its listener is gone, the principal's grant is revoked or the hive stops.
    pub(crate) async fn spawn_stream<T: Send + 'static>(
        self: &Arc<Self>,
        principal: &Principal,
        listener: &mpsc::Sender<T>,
        stream: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let (grant, listener) = (self.issue(principal).await?, listener.clone());
        // A stream without events would notice none of these: it waits for its source and sends nothing.
        let shutdown = self.context.shutdown().clone();
        self.context.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = listener.closed() => {}
                _ = grant.revoked() => {}
                () = stream => {}
            }
        });
        Ok(())
    }

    /// Revokes the grants of a user that are no longer valid. A credential that cannot be read now is left for the next
    /// revalidation.
    pub(crate) async fn revalidate(&self, user: UserId) {
        let due = self.by_credential(|credential| credential.user() == Some(user));
        self.revalidate_each(due).await;
    }

    /// Revokes the grants whose callers have lost a team by its allow list. It reads nothing from the store.
    pub(crate) fn revalidate_addresses(&self) {
        for grant in lock(&self.issued).grants.values() {
            grant.revoke_by_address(&self.allow_lists);
        }
    }

    /// Revokes the grants that are no longer valid, of all users. Each credential is read once, however many grants it has.
    ///
    /// It takes no longer than one `sweep_interval`. Where the store is too slow for all credentials, the next call goes on with
    /// those that are left.
    pub(crate) async fn revalidate_all(&self) {
        let mut due = self.by_credential(|_| true);
        {
            let done = lock(&self.done_in_sweep);
            due.retain(|credential, _| !done.contains(credential));
        }
        let period = self.context.settings().sweep_interval;
        if timeout(period, self.revalidate_each(due)).await.is_ok() {
            lock(&self.done_in_sweep).clear();
        } else {
            warn!("the store is too slow to revalidate all grants in time; the next sweep goes on");
        }
    }

    async fn revalidate_each(&self, due: HashMap<Credential, Vec<Arc<Grant>>>) {
        let checks = due.into_iter().map(|(credential, grants)| async move {
            match self.credential_state(credential).await {
                Ok(state) => grants.iter().for_each(|grant| grant.revoke_by(&state)),
                // An unreachable store must not end all streams at once.
                Err(error) => warn!(error = %error, "a grant cannot be revalidated now"),
            }
            lock(&self.done_in_sweep).insert(credential);
        });
        stream::iter(checks).buffer_unordered(READS_AT_ONCE).collect::<()>().await;
    }

    /// Returns the grants that the hive can revoke, by their credential.
    fn by_credential(&self, is_due: impl Fn(Credential) -> bool) -> HashMap<Credential, Vec<Arc<Grant>>> {
        let mut due: HashMap<_, Vec<_>> = HashMap::new();
        // Copies, because the lock must not be held over the reads of the store.
        for grant in lock(&self.issued).grants.values() {
            // Without a snapshot the embedding program vouched for the caller. The hive has no row by which it could be revoked.
            if grant.before.is_some() && is_due(grant.credential) {
                due.entry(grant.credential).or_default().push(grant.clone());
            }
        }
        due
    }

    /// Returns whether a key is refused regardless of its secret: it is expired or revoked, or its user is disabled.
    pub(crate) fn is_key_over(&self, owner: &ApiKeyOwner) -> bool {
        let ApiKeyOwner { key, user, teams: _ } = owner;
        let is_expired = key.expires_at.is_some_and(|end| end <= self.context.now());
        is_expired || key.revoked_at.is_some() || user.disabled_at.is_some()
    }

    async fn credential_state(&self, credential: Credential) -> Result<CredentialState> {
        Ok(match credential {
            Credential::System | Credential::Configured => CredentialState::Foreign,
            Credential::ApiKey(key, _) => match self.store.api_key_owner(key).await? {
                None => CredentialState::Foreign,
                Some(owner) if self.is_key_over(&owner) => CredentialState::Refused,
                Some(owner) => CredentialState::Valid(GrantSnapshot::of_key(owner, self.context.now())),
            },
            Credential::Login(id) => match self.store.user_get(id).await? {
                None => CredentialState::Foreign,
                Some(row) if row.user.disabled_at.is_some() => CredentialState::Refused,
                Some(row) => {
                    let teams = self.store.team_memberships(id).await?;
                    let generation = row.login_generation.to_string();
                    CredentialState::Valid(GrantSnapshot::new(generation, row.user.role, teams))
                }
            },
        })
    }
}
