//! Many fake satellites in one process: real WebSockets and the real messages, and no machine behind them.
//!
//! Each is a [`FakeSatellite`](hive_test_peers::FakeSatellite) that answers by itself, and comes back by the agent's own rules
//! when its link breaks. In the order in which one meets them: [`enrol`] gives it a key, [`satellite`] keeps its link up,
//! [`link`] is one link.

mod enrol;
mod link;
mod satellite;

use std::sync::Arc;
use std::time::Duration;

use hive_core::wire::SatelliteId;
use hive_core::wire::backoff::BackoffLimits;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use enrol::enrol;

/// First links that are opened at the same time. What comes later is up to each satellite.
const OPENING: usize = 64;

/// A registered satellite.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SimulatedIdentity {
    /// Which.
    pub id: SatelliteId,
    /// Its API key.
    pub api_key: String,
}

/// What has happened to all of them so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Links that are up.
    pub online: usize,
    /// Handshakes that were accepted.
    pub linked: u64,
    /// Links that were refused with a word for when to come back.
    pub told_to_wait: u64,
    /// Links that could not be opened for another reason.
    pub failed: u64,
    /// Satellites whose key is not accepted: they do not come back.
    pub rejected: usize,
    /// Heartbeats that were answered.
    pub heartbeats: u64,
    /// Commands that were run.
    pub runs: u64,
    /// Commands that came again, and were not run again.
    pub repeats: u64,
}

/// Running satellites. They end with this value.
#[derive(Debug)]
pub struct Simulator {
    tally: Arc<watch::Sender<Tally>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Simulator {
    /// Starts satellites of the server at `address` (`host:port`), which reconnect as an agent does unless it is told
    /// otherwise.
    pub fn start(address: &str, identities: Vec<SimulatedIdentity>) -> Self {
        Self::start_with(address, identities, BackoffLimits::default())
    }

    /// The same, with other pauses between attempts.
    pub fn start_with(address: &str, identities: Vec<SimulatedIdentity>, pauses: BackoffLimits) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let tally = Arc::new(watch::Sender::new(Tally::default()));
        let (address, opening): (Arc<str>, _) = (address.into(), Arc::new(Semaphore::new(OPENING)));
        for identity in identities {
            let satellite = satellite::SimulatedSatellite::new(identity, Arc::clone(&address), Arc::clone(&tally));
            let (opening, stop) = (Arc::clone(&opening), stop.clone());
            tasks.spawn(async move { stop.run_until_cancelled(satellite.live(pauses, opening)).await });
        }
        // `stop` waits for the tracker, and only a closed one is ever done.
        tasks.close();
        Self { tally, tasks, _stop_on_drop: stop.clone().drop_guard(), stop }
    }

    /// What has happened so far.
    pub fn tally(&self) -> Tally {
        *self.tally.borrow()
    }

    /// Waits until this is so; panics with how it stands when it does not come in time.
    pub async fn until(&self, what: &str, patience: Duration, holds: impl FnMut(&Tally) -> bool) -> Tally {
        let mut tally = self.tally.subscribe();
        let came = timeout(patience, tally.wait_for(holds)).await;
        let Ok(Ok(came)) = came.map(|came| came.map(|tally| *tally)) else {
            panic!("waited in vain until {what}: {:?}", self.tally());
        };
        came
    }

    /// Ends all links and waits until they are gone.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}
