//! The door: what strangers may take of the server before they have proved who they are.
//!
//! Four plain structs decide, and here they get their locks and clocks: [`waiting`] bounds the connections of strangers,
//! [`admission`] the handshakes of all satellites, [`handshakes`] those of one, [`distrust`] what a wrong key may cost whoever
//! shows many of them. An address is that of the socket, or the one a trusted proxy forwards for; of IPv6, its network of 64
//! bits.

mod admission;
mod distrust;
mod handshakes;
mod waiting;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hive_core::clock::{Entropy, SystemEntropy};
use hive_core::hive::{Effort, network_of};
use hive_core::wire::SatelliteId;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::admission::Admission;
use self::distrust::Distrust;
use self::handshakes::Handshakes;
use self::waiting::Waiting;
use crate::config::Limits;
use crate::error::Failure;

pub(crate) use self::distrust::Offence;

/// Longer than anybody waits, and short enough to be added to any time.
const MAX_PATIENCE: Duration = Duration::from_hours(24);

/// The door of one server.
pub(crate) struct Door {
    waiting: Arc<Mutex<Waiting<CancellationToken>>>,
    admission: Arc<Mutex<Admission>>,
    handshakes: Arc<Mutex<Handshakes<CancellationToken>>>,
    distrust: Mutex<Distrust>,
    patience: Duration,
}

impl Door {
    pub(crate) fn new(limits: &Limits) -> Self {
        let admission = Admission::new(limits.handshaking, limits.handshake_rate, Instant::now());
        Self {
            waiting: Arc::new(Mutex::new(Waiting::new(limits.strangers, limits.strangers_per_address))),
            admission: Arc::new(Mutex::new(admission)),
            handshakes: Arc::default(),
            distrust: Mutex::default(),
            patience: limits.handshake_timeout.min(MAX_PATIENCE),
        }
    }

    /// Takes in somebody unknown. Where that makes too many, the one who has stood there longest must go.
    pub(crate) fn enter(&self, address: IpAddr) -> Stranger {
        let sent_away = CancellationToken::new();
        let (number, too_many) = locked(&self.waiting).enter(network_of(address), sent_away.clone());
        if let Some(oldest) = too_many {
            oldest.cancel();
        }
        Stranger(Arc::new(Place {
            waiting: Arc::clone(&self.waiting),
            number,
            sent_away,
            known: CancellationToken::new(),
            until: self.until(),
        }))
    }

    /// When somebody who comes now must have said what they want.
    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Lets a satellite prove who it is. Asked for when the whole request is here, so that nobody holds a leave by sending
    /// slowly.
    pub(crate) fn admit(&self, address: Option<IpAddr>) -> Result<Admitted, Failure> {
        let address = address.map(network_of);
        let asked = locked(&self.admission).ask(address, Instant::now(), roll());
        asked.map_err(|retry_after| Failure::Overloaded { retry_after })?;
        Ok(Admitted { admission: Arc::clone(&self.admission), address })
    }

    /// Registers the handshake of a satellite whose key is right. Where that makes too many, its oldest one is ended.
    pub(crate) fn begin_handshake(&self, satellite: SatelliteId) -> HandshakeGuard {
        let replaced = CancellationToken::new();
        let (number, oldest) = locked(&self.handshakes).begin(satellite, replaced.clone());
        if let Some(oldest) = oldest {
            oldest.cancel();
        }
        HandshakeGuard { handshakes: Arc::clone(&self.handshakes), satellite, number, replaced }
    }

    /// How much checking the credentials of a caller may cost.
    pub(crate) fn effort(&self, address: Option<IpAddr>) -> Effort {
        let is_distrusted = address.is_some_and(|address| {
            let source = network_of(address);
            locked(&self.distrust).is_over(source, Instant::now())
        });
        if is_distrusted { Effort::Remembered } else { Effort::Full }
    }

    /// Notes that somebody at this address has shown wrong credentials.
    pub(crate) fn resent(&self, address: Option<IpAddr>, offence: Offence) {
        if let Some(address) = address {
            locked(&self.distrust).note(network_of(address), offence, Instant::now());
        }
    }
}

/// A connection, or a request that came through a proxy, of somebody who has not proved who they are. Whoever holds the
/// last clone of it leaves the door.
#[derive(Clone)]
pub(crate) struct Stranger(Arc<Place>);

struct Place {
    waiting: Arc<Mutex<Waiting<CancellationToken>>>,
    number: u64,
    sent_away: CancellationToken,
    known: CancellationToken,
    until: Instant,
}

impl Stranger {
    /// They have proved who they are, and are a stranger no more.
    pub(crate) fn is_known_now(&self) {
        self.0.known.cancel();
        locked(&self.0.waiting).leave(self.0.number);
    }

    /// When they must have said what they want.
    pub(crate) fn until(&self) -> Instant {
        self.0.until
    }

    /// Waits until they have to go: they took too long, or another needs the place. Never, once they are known.
    pub(crate) async fn overstayed(&self) {
        tokio::select! {
            biased;
            () = self.0.known.cancelled() => std::future::pending().await,
            () = self.0.sent_away.cancelled() => {}
            () = sleep_until(self.0.until) => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.waiting).leave(self.number);
    }
}

/// The leave to prove who one is, given back when it is dropped.
pub(crate) struct Admitted {
    admission: Arc<Mutex<Admission>>,
    address: Option<IpAddr>,
}

impl Admitted {
    /// Notes that the attempt failed: it is charged to its address alone.
    pub(crate) fn charge_failure(&self) {
        locked(&self.admission).charge_failure(self.address, Instant::now());
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        locked(&self.admission).leave();
    }
}

/// A satellite's handshake under way. It is over when this is dropped.
pub(crate) struct HandshakeGuard {
    handshakes: Arc<Mutex<Handshakes<CancellationToken>>>,
    satellite: SatelliteId,
    number: u64,
    replaced: CancellationToken,
}

impl HandshakeGuard {
    /// Waits until newer handshakes of the satellite take its place.
    pub(crate) async fn replaced(&self) {
        self.replaced.cancelled().await;
    }
}

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        locked(&self.handshakes).end(self.satellite, self.number);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this lock")
}

/// A random number from 0 up to 1.
fn roll() -> f64 {
    let mut bytes = [0; 4];
    SystemEntropy.fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn who_is_known_may_stay() {
        let door = Door::new(&Limits { strangers: 1, ..Limits::default() });
        let first = door.enter([127, 0, 0, 1].into());
        let second = door.enter([127, 0, 0, 1].into());
        first.overstayed().await;
        second.is_known_now();
        let third = door.enter([127, 0, 0, 1].into());
        assert!(third.overstayed().now_or_never().is_none(), "there is room");
        let _fourth = door.enter([127, 0, 0, 1].into());
        third.overstayed().await;
        assert!(second.overstayed().now_or_never().is_none(), "the known one has to go");
    }
}
