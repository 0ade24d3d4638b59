//! The hive in this process: it builds, owns and ends the services.
//!
//! The services are modules of this crate, in the order of `services.rs`. An edge authenticates a caller here, and acts by
//! [`ActingHive`]; a satellite's link is handled by [`AttachedSatellite`].

mod access_check;
pub(crate) mod acting;
mod builder;
mod key_check;
mod services;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hive_wire::agent::Handshake;
use hive_wire::api::{LoginRequest, LoginResponse};
use hive_wire::satellite_api::{HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisteredSatellite};
use hive_wire::{HiveId, SatelliteId, UserId};
use secrecy::SecretString;

use crate::Result;
use crate::access::{Principal, SatelliteIdentity};
use crate::clock::ClockAndRng;
use crate::housekeeping::Housekeeping;
use crate::identity::auth_failures::AuthFailure;
use crate::link::AgentLink;

pub use crate::audit::reset_audit_head;
pub use crate::context::DiskLevel;
pub use crate::housekeeping::HousekeepingCounts;
pub use crate::identity::auth_failures::{AuthFailureKind, AuthFailureTotals, network_of};
pub use crate::identity::authentication::VerifyMode;
pub use crate::link_handler::AttachedSatellite;
pub use crate::satellites::{KeyRejection, RegistrationError, TokenProblem};
pub use crate::settings::{Activation, ClaimedTags, MAX_LOST_GRACE, Settings};
pub use crate::telemetry::TelemetryCounts;
pub use access_check::AccessObject;
pub use acting::ActingHive;
pub use builder::HiveBuilder;
pub(crate) use services::Services;

/// A fleet of satellites and everything that is known of it. Cheap to clone; all clones are the same hive.
#[derive(Clone)]
pub struct Hive {
    inner: Arc<HiveInner>,
}

struct HiveInner {
    services: Services,
    housekeeping: Arc<Housekeeping>,
    /// Whether the store was made with this value.
    is_new: bool,
}

impl Hive {
    /// Starts to build a hive.
    pub fn builder() -> HiveBuilder {
        HiveBuilder::default()
    }

    /// Returns the hive as `principal` may use it. The only way to act on a hive.
    ///
    /// The principal is not checked: an edge authenticates the caller with each call
    /// ([`authenticate_api_key`](Self::authenticate_api_key), [`authenticate_jwt`](Self::authenticate_jwt)). Streams
    /// and sessions go on behind a call. They end by themselves when a user of this hive or their credential loses the
    /// right to them.
    pub fn acting_as(&self, principal: Principal) -> ActingHive {
        ActingHive::new(self.clone(), principal)
    }

    /// Returns the hive as the hive itself may use it: for start-up, its own command line and programs that embed it.
    pub fn as_system(&self) -> ActingHive {
        self.acting_as(Principal::system())
    }

    /// Returns which hive it is. A restored hive is the same.
    pub fn id(&self) -> HiveId {
        self.services().context.hive_id()
    }

    /// Returns whether there was no hive in the store before this one was built.
    pub fn is_new(&self) -> bool {
        self.inner.is_new
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        self.services().context.settings()
    }

    /// Returns the clock and the randomness.
    pub fn source(&self) -> &ClockAndRng {
        self.services().context.source()
    }

    /// Returns whether calls can be served now.
    pub async fn is_ready(&self) -> bool {
        self.check_ready().await.is_ok()
    }

    /// Checks that calls can be served: the storage can be read, and its disk takes what is written.
    ///
    /// # Errors
    /// `Unavailable` that says why not.
    pub async fn check_ready(&self) -> Result<()> {
        // A user that does not exist: the lookup costs next to nothing.
        self.services().store.user_get(UserId::new(self.source().seed())).await?;
        self.services().context.check_disk_recently().await
    }

    /// Returns how much space the disk of the database had when it was last looked at. Always enough where the database is not a
    /// file of this machine.
    pub fn disk_level(&self) -> DiskLevel {
        self.services().context.disk_level()
    }

    /// Ends all attachments and links, asks the satellites to reconnect later, and waits for the tasks of the hive.
    pub async fn shutdown(&self) {
        let Services { context, sessions, links, .. } = self.services();
        // Cancelled first: retries end with it, so that the wait below is short.
        context.shutdown().cancel();
        sessions.close_all();
        links.close_all("the server stops", self.settings().return_rate);
        context.wait_for_tasks().await;
    }

    /// Returns how often housekeeping has failed since the start.
    pub fn housekeeping_counts(&self) -> HousekeepingCounts {
        self.inner.housekeeping.counts(&self.services().context)
    }

    /// Returns how much telemetry was stored and dropped since the start.
    pub fn telemetry_counts(&self) -> TelemetryCounts {
        self.services().telemetry.counts()
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }
}

/// Who is calling.
impl Hive {
    /// Returns the principal of an API key.
    ///
    /// # Errors
    /// `AuthInvalid` for any key that is malformed, unknown, wrong, revoked, expired, of a user who is disabled or from an
    /// address that it does not allow: they look the same. `RateLimited` where the mode does not suffice to decide.
    pub async fn authenticate_api_key(&self, key: &str, ip: Option<String>, mode: VerifyMode) -> Result<Principal> {
        self.services().identity.authenticate_api_key(key, ip, mode).await
    }

    /// Returns the principal of a login token.
    ///
    /// # Errors
    /// `AuthInvalid` for any token that is not valid now.
    pub async fn authenticate_jwt(&self, token: &str, ip: Option<String>) -> Result<Principal> {
        self.services().identity.authenticate_jwt(token, ip).await
    }

    /// Exchanges a name and a password for a login token.
    ///
    /// # Errors
    /// `AuthInvalid` where either is wrong, or the user is disabled; `RateLimited` where too many others are logging in, or the
    /// mode does not suffice: verified passwords are not cached.
    pub async fn login(&self, request: LoginRequest, ip: Option<String>, mode: VerifyMode) -> Result<LoginResponse> {
        self.services().identity.login(request, ip, mode).await
    }

    /// Returns how often each kind of authentication has failed since the start, by its word.
    pub fn auth_failure_totals(&self) -> BTreeMap<&'static str, AuthFailureTotals> {
        self.services().auth_failures.totals()
    }

    /// Notes credentials that an edge could not parse.
    pub fn note_malformed_credential(&self, kind: AuthFailureKind, ip: Option<&str>) {
        self.services().auth_failures.note(AuthFailure::new(kind, ip, "malformed"));
    }

    /// Notes a satellite that may not connect from an address.
    pub fn note_refused_satellite_address(&self, key: &str, ip: Option<&str>) {
        self.services().auth_failures.note_satellite_address(key, ip);
    }

    /// Notes a satellite's key that was refused.
    pub fn note_refused_satellite_key(&self, key: &str, ip: Option<&str>) {
        self.services().auth_failures.note_satellite_key(key, ip);
    }
}

/// Satellites.
impl Hive {
    /// Registers a satellite with a token. `seen_url` is the URL under which a trusted proxy saw it, used where it reports none.
    ///
    /// # Errors
    /// See [`TokenProblem`]; `InvalidInput` for a bad name, label or URL; `Conflict` where the name belongs to others. None
    /// of them spends the token.
    pub async fn register_satellite(
        &self,
        token: &SecretString,
        request: RegisterRequest,
        ip: Option<String>,
        seen_url: Option<String>,
    ) -> Result<RegisteredSatellite, RegistrationError> {
        self.services().satellites.register(token, request, ip, seen_url).await
    }

    /// Checks whether a registration token could be used now, without using it: for an edge that refuses the rest of a request.
    ///
    /// # Errors
    /// See [`TokenProblem`].
    pub async fn check_registration_token(
        &self,
        token: &SecretString,
        ip: Option<&str>,
    ) -> Result<(), RegistrationError> {
        self.services().satellites.check_token(token, ip).await
    }

    /// Returns the satellite that a key belongs to.
    ///
    /// # Errors
    /// `AuthInvalid` for any key that is not the current one of a satellite; `RateLimited` where the mode does not suffice to
    /// decide; `Forbidden` where the satellite may not connect from this address, which is no reason to give up the key.
    pub async fn authenticate_satellite(
        &self,
        key: &str,
        ip: Option<&str>,
        mode: VerifyMode,
    ) -> Result<SatelliteIdentity> {
        self.services().satellites.authenticate(key, ip, mode).await
    }

    /// Returns why [`authenticate_satellite`](Self::authenticate_satellite) did not accept a key. The answer grants nothing: it
    /// tells the satellite what to do.
    ///
    /// # Errors
    /// `Unavailable` where the store is not reachable.
    pub async fn satellite_key_rejection(&self, key: &str) -> Result<KeyRejection> {
        self.services().satellites.key_rejection(key).await
    }

    /// Handles a heartbeat over HTTPS; with it a satellite also finds out at its start whether its key is still valid.
    ///
    /// # Errors
    /// `SatelliteNotFound` for another satellite's id.
    pub async fn satellite_heartbeat(
        &self,
        identity: &SatelliteIdentity,
        id: SatelliteId,
        heartbeat: HeartbeatRequest,
    ) -> Result<HeartbeatResponse> {
        self.services().satellites.heartbeat(identity, id, heartbeat).await
    }

    /// Accepts a satellite's handshake: it is online from here on, and what is open for it is on its way.
    ///
    /// # Errors
    /// `AuthInvalid` where the satellite is not the one of the key, or the key was replaced meanwhile; `InvalidInput` for
    /// another protocol version; `Conflict` where another process is online with the same identity.
    pub async fn attach(
        &self,
        identity: SatelliteIdentity,
        handshake: Handshake,
        link: Arc<dyn AgentLink>,
    ) -> Result<AttachedSatellite> {
        self.services().link_handler.attach(identity, handshake, link).await
    }
}

impl std::fmt::Debug for Hive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hive").field("settings", self.settings()).finish_non_exhaustive()
    }
}
