//! The hive in this process.
//!
//! In the order in which a command meets them: [`authentication`](Hive::authenticate_api_key) names the principal,
//! [`ActingHive`] checks permission, `router` stores the command, `queue` says whose turn it is at a satellite, `delivery` hands
//! it to a link of `links`, [`Attached`] takes what the satellite says, `running` holds output until it is stored and wakes who waits, `report` is what they
//! get. `jobs` give commands of many satellites their turns, `watching` tells of them while they run. `sessions` are the
//! terminals. `sweeper` ends what nobody ended. `auth_failures` tell the audit log of those who did not get in.

pub(crate) mod acting;
mod audit;
mod builder;
pub(crate) mod excerpt;
mod high_water;
mod key_check;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use hive_wire::{HiveId, Timestamp, UserId};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Result;
use crate::access::Principal;
use crate::clock::Source;
use crate::keys::Keys;
use crate::store::Store;

use crate::commands::{in_flight, queue};
use crate::identity::{auth_failures, verifier};
use crate::links::unexpected;
use crate::satellites::journal_positions;
use crate::{disk_probe, events, grants, housekeeping, jobs, links, sessions};

pub use crate::identity::auth_failures::{AuthFailureKind, AuthFailureTotals, network_of};
pub use crate::identity::authentication::Effort;
pub use crate::link_handler::Attached;
pub use crate::satellites::registration::{KeyRejection, RegistrationError, TokenProblem};
pub use crate::satellites::tags::ClaimedTags;
pub use acting::ActingHive;
pub use builder::HiveBuilder;
pub use high_water::forget_trail_mark;

/// When a registered satellite becomes active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// With its first heartbeat; an accepted handshake is one.
    Heartbeat,
    /// When an admin says so.
    Manual,
}

/// The longest [`Settings::lost_grace`].
pub const MAX_LOST_GRACE: Duration = Duration::from_mins(10);

/// What can be set about a hive. Every interval may be shortened for tests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The hive's address as satellites and people reach it; the issuer of its tokens.
    pub external_url: String,
    /// When a registered satellite becomes active.
    pub activation: Activation,
    /// What becomes of labels that a satellite claims beyond those its token allows.
    pub claimed_tags: ClaimedTags,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
    /// Silence after which a satellite counts as gone.
    pub heartbeat_timeout: Duration,
    /// How long a satellite that is online may take to answer a ping, before another process takes its place.
    pub answer_time: Duration,
    /// How long a login lasts.
    pub login_lifetime: Duration,
    /// How long beyond its timeout a waiting call waits for a command's result: the time to kill and to report.
    pub result_grace: Duration,
    /// How long a command that was handed over may go without a word beyond its timeout before its outcome counts as
    /// unknown. At most [`MAX_LOST_GRACE`]: satellites keep an id no longer than that beyond its expiry.
    pub lost_grace: Duration,
    /// Time between two looks for overdue commands.
    pub sweep_interval: Duration,
    /// How many satellites a second are asked to come back where the hive stops.
    pub return_rate: u32,
    /// The most terminals of one satellite.
    pub max_sessions_per_satellite: u32,
    /// The most commands of one satellite that may be open; more of them are refused with `RateLimited`.
    pub max_queue_per_satellite: u32,
    /// The most open commands of one caller, those of jobs left out; more of them are refused with `RateLimited`.
    pub max_open_per_caller: u32,
    /// How long a terminal outlives its satellite's link.
    pub session_linger: Duration,
    /// How long a terminal may go without input and output before it is ended; for ever where there is none.
    pub session_idle_timeout: Option<Duration>,
    /// How long who types may leave output unread before the program does not wait for them any more.
    pub claim_stall: Duration,
    /// How long keyboard and unread output of a viewer that was cut off are kept for it.
    pub claim_linger: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            external_url: "http://127.0.0.1:3000".into(),
            activation: Activation::Heartbeat,
            claimed_tags: ClaimedTags::Facts,
            heartbeat_interval: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(90),
            answer_time: Duration::from_secs(2),
            login_lifetime: Duration::from_hours(1),
            result_grace: Duration::from_secs(15),
            lost_grace: Duration::from_mins(1),
            sweep_interval: Duration::from_secs(5),
            return_rate: 1000,
            max_sessions_per_satellite: 10,
            max_queue_per_satellite: 50_000,
            max_open_per_caller: 10_000,
            session_linger: Duration::from_mins(10),
            session_idle_timeout: Some(Duration::from_hours(24)),
            claim_stall: Duration::from_secs(10),
            claim_linger: Duration::from_secs(30),
        }
    }
}

/// A fleet and everything that is known of it. Cheap to clone; the clones are one hive.
#[derive(Clone)]
pub struct Hive {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Which hive it is: as the store says, wherever it was copied to.
    pub(crate) id: HiveId,
    /// Whether it was made with this value.
    pub(crate) is_new: bool,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Keys,
    pub(crate) source: Source,
    /// When it was started, by the time that does not jump.
    pub(crate) started_at: Timestamp,
    pub(crate) settings: Settings,
    pub(crate) verifier: verifier::Verifier,
    pub(crate) links: links::Links,
    pub(crate) running: in_flight::Running,
    pub(crate) open: queue::OpenCounts,
    pub(crate) jobs: jobs::Jobs,
    pub(crate) sessions: sessions::Sessions,
    pub(crate) passes: grants::Passes,
    pub(crate) auth_failures: auth_failures::AuthFailures,
    pub(crate) unexpected: unexpected::Shared,
    pub(crate) seen: housekeeping::SeenBuffer,
    pub(crate) positions: journal_positions::Positions,
    pub(crate) housekeeping: housekeeping::Housekeeping,
    /// Where the store lies in a directory of ours.
    pub(crate) high_water: Option<high_water::HighWater>,
    /// Where the database is a file.
    pub(crate) disk: Option<disk_probe::DiskProbe>,
    pub(crate) events: broadcast::Sender<events::Announcement>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// Events a slow listener may owe before its subscription ends.
const EVENT_CAPACITY: usize = 1024;

impl Hive {
    /// Starts to build a hive.
    pub fn builder() -> HiveBuilder {
        HiveBuilder::default()
    }

    /// Returns the hive as `principal` may use it. The only way to act on a hive.
    ///
    /// The principal is believed: an edge finds out anew with each call who is calling
    /// ([`authenticate_api_key`](Self::authenticate_api_key), [`authenticate_jwt`](Self::authenticate_jwt)). What goes on behind
    /// a call, streams and terminals, ends by itself when a user of this hive or their credential may not have it any more.
    pub fn acting_as(&self, principal: Principal) -> ActingHive {
        ActingHive::new(self.clone(), principal)
    }

    /// Returns the hive as the hive itself may use it: for start-up, its own command line and programs that embed it.
    pub fn as_system(&self) -> ActingHive {
        self.acting_as(Principal::system())
    }

    /// Returns which hive it is. A restored hive is the same.
    pub fn id(&self) -> HiveId {
        self.inner.id
    }

    /// Returns whether there was no hive in the store before this one was built.
    pub fn is_new(&self) -> bool {
        self.inner.is_new
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Returns the clock and the randomness.
    pub fn source(&self) -> &Source {
        &self.inner.source
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
        // A thing that is not there, which costs next to nothing.
        self.inner.store.user_get(UserId::new(self.source().seed())).await?;
        match &self.inner.disk {
            Some(disk) => disk.check(self.source().steady()).await,
            None => Ok(()),
        }
    }

    /// Checks that the disk takes what is written, before something is done whose outcome has to be stored.
    pub(crate) async fn check_disk(&self) -> Result<()> {
        match &self.inner.disk {
            Some(disk) => disk.check_now(self.source().steady()).await,
            None => Ok(()),
        }
    }

    /// Ends all attachments and links, telling the satellites to come back, and waits for what the hive still does.
    pub async fn shutdown(&self) {
        self.inner.shutdown.cancel();
        self.inner.sessions.close_all();
        self.inner.links.close_all("the server stops", self.settings().return_rate);
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }
}

impl std::fmt::Debug for Hive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hive").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
