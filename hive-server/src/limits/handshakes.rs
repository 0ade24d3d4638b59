//! Limits the satellites that authenticate at the same time, and how often and in how many handshakes each of them does.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use hive_core::Error;
use hive_core::clock::{Entropy, SystemEntropy};
use hive_core::hive::network_of;
use hive_core::wire::SatelliteId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handshake_budget::HandshakeBudget;
use super::lock;
use super::rate_limiter::{Rate, RateLimiter};
use super::satellite_handshakes::SatelliteHandshakes;
use crate::config::Limits;
use crate::error::HttpError;

/// How often one satellite may authenticate. Without this limit, one valid key could use up the rate of the whole server. A
/// satellite behind a link that breaks again and again needs a few at once.
const SATELLITE_RATE: Rate = Rate::per_second(10.0, 100.0);
/// Satellites with a bucket.
const MAX_SATELLITES: usize = 32 * 1024;

/// Gives out permits to authenticate as a satellite.
pub(crate) struct HandshakeLimiter {
    budget: Arc<Mutex<HandshakeBudget>>,
    rates: Mutex<RateLimiter<SatelliteId>>,
    pending: Arc<Mutex<SatelliteHandshakes<CancellationToken>>>,
}

impl HandshakeLimiter {
    pub(super) fn new(limits: &Limits) -> Self {
        let budget = HandshakeBudget::new(limits.max_handshakes, limits.handshake_rate, Instant::now());
        let rates = Mutex::new(RateLimiter::new(MAX_SATELLITES));
        Self { budget: Arc::new(Mutex::new(budget)), rates, pending: Arc::default() }
    }

    /// Returns a permit for one authentication, or the error that says when to retry. Callers ask after they have read the
    /// whole request, so that a slow sender never holds a permit.
    pub(crate) fn admit(&self, address: Option<IpAddr>) -> Result<HandshakePermit, HttpError> {
        let address = address.map(network_of);
        let begun = lock(&self.budget).begin(address, Instant::now(), random_fraction());
        begun.map_err(|retry_after| HttpError::Overloaded { retry_after })?;
        Ok(HandshakePermit { budget: Arc::clone(&self.budget), address })
    }

    /// Refuses a satellite that authenticates too often, before it takes a permit or the key is looked up. Only valid keys are
    /// counted, so that a caller who merely names the satellite cannot lock it out.
    pub(crate) fn check_rate(&self, named: SatelliteId) -> Result<(), HttpError> {
        match lock(&self.rates).retry_after(&named, 1.0, Instant::now()) {
            Some(wait) => Err(Error::RateLimited { retry_after_seconds: wait.as_secs() + 1 }.into()),
            None => Ok(()),
        }
    }

    /// Counts a satellite's successful authentication. A failed one is not counted: a wrong key must not lock out the satellite
    /// that it names.
    pub(crate) fn count(&self, satellite: SatelliteId) {
        lock(&self.rates).charge(satellite, SATELLITE_RATE, 1.0, Instant::now());
    }

    /// Registers the handshake of an authenticated satellite. Over the limit of the satellite, its oldest one is ended.
    pub(crate) fn begin(&self, satellite: SatelliteId) -> HandshakeGuard {
        let replaced = CancellationToken::new();
        let (id, oldest) = lock(&self.pending).begin(satellite, replaced.clone());
        if let Some(oldest) = oldest {
            oldest.cancel();
        }
        HandshakeGuard { pending: Arc::clone(&self.pending), satellite, id, replaced }
    }
}

/// The right to authenticate as a satellite, returned on drop.
pub(crate) struct HandshakePermit {
    budget: Arc<Mutex<HandshakeBudget>>,
    address: Option<IpAddr>,
}

impl HandshakePermit {
    /// Charges a failed authentication to its address.
    pub(crate) fn charge_failure(&self) {
        lock(&self.budget).charge_failure(self.address, Instant::now());
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        lock(&self.budget).end();
    }
}

/// An unfinished handshake of a satellite, unregistered on drop.
pub(crate) struct HandshakeGuard {
    pending: Arc<Mutex<SatelliteHandshakes<CancellationToken>>>,
    satellite: SatelliteId,
    id: u64,
    replaced: CancellationToken,
}

impl HandshakeGuard {
    /// Waits until newer handshakes of the same satellite replace this one.
    pub(crate) async fn replaced(&self) {
        self.replaced.cancelled().await;
    }
}

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        lock(&self.pending).end(self.satellite, self.id);
    }
}

/// A random number from 0 up to 1.
fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    SystemEntropy.fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}
