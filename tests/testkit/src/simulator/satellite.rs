//! One simulated satellite: keeps its link up by the rules of the agent.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use hive_core::wire::backoff::{Backoff, BackoffLimits};
use hive_test_peers::FakeSatellite;
use hive_test_peers::satellite::WebSocketLink;
use tokio::sync::{Semaphore, watch};

use super::link::SimulatedLinkEnd;
use super::{SimulatedIdentity, Tally};

/// What a satellite is over all of its links.
pub(super) struct SimulatedSatellite {
    pub(super) satellite: FakeSatellite<WebSocketLink>,
    pub(super) address: Arc<str>,
    pub(super) tally: Arc<watch::Sender<Tally>>,
}

impl SimulatedSatellite {
    pub(super) fn new(identity: SimulatedIdentity, address: Arc<str>, tally: Arc<watch::Sender<Tally>>) -> Self {
        Self { satellite: FakeSatellite::new(identity.id, identity.api_key), address, tally }
    }

    /// Connects, again and again, until its key is not accepted any more.
    pub(super) async fn live(mut self, pauses: BackoffLimits, opening: Arc<Semaphore>) {
        let mut backoff = Backoff::new(pauses);
        let mut turn = opening.acquire_owned().await.ok();
        loop {
            let opened = self.open_link().await;
            // Only the first attempts take turns. Later ones come by the rules of the agent, which are what is tested.
            drop(turn.take());
            let end = match opened {
                Ok(patience) => {
                    backoff.reset();
                    let _online = Online::begin(&self.tally);
                    self.serve(patience).await
                }
                Err(end) => {
                    self.count(|tally| tally.refused(&end));
                    end
                }
            };
            self.satellite.cut();
            tokio::time::sleep(match end {
                SimulatedLinkEnd::KeyRejected => return,
                SimulatedLinkEnd::Replaced => backoff.longest_delay(roll()),
                SimulatedLinkEnd::Lost { retry_after } => backoff.next_delay_after(retry_after, roll()),
            })
            .await;
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Tally)) {
        self.tally.send_modify(change);
    }
}

impl Tally {
    fn refused(&mut self, end: &SimulatedLinkEnd) {
        match end {
            SimulatedLinkEnd::KeyRejected => self.rejected += 1,
            SimulatedLinkEnd::Lost { retry_after } if !retry_after.is_zero() => self.told_to_wait += 1,
            _ => self.failed += 1,
        }
    }
}

/// Counts a link for as long as it is up.
struct Online(Arc<watch::Sender<Tally>>);

impl Online {
    fn begin(tally: &Arc<watch::Sender<Tally>>) -> Self {
        tally.send_modify(|tally| {
            tally.online += 1;
            tally.linked += 1;
        });
        Self(Arc::clone(tally))
    }
}

impl Drop for Online {
    fn drop(&mut self) {
        self.0.send_modify(|tally| tally.online -= 1);
    }
}

/// A random number from 0 up to 1: each new hasher of the standard library has keys of its own.
fn roll() -> f64 {
    RandomState::new().hash_one(()) as f64 / (u64::MAX as f64)
}

/// The longest a server can ask for, as with the agent.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
