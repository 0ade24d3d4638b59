//! How satellites prove who they are, by their API keys.

use std::time::Duration;

use hive_wire::credential::split_satellite_key;
use hive_wire::satellite_api::RejectionClass;

use super::Satellites;
use crate::Result;
use crate::access::SatelliteIdentity;
use crate::identity::authentication::VerifyMode;

/// Replaced keys of one satellite that a wrong key is compared with. Each costs as much time as the check of a key, and anybody
/// may send any number of wrong ones.
const SUPERSEDED_COMPARED: u32 = 3;

/// How long the hashes of replaced keys are kept.
const SUPERSEDED_KEPT: Duration = Duration::from_hours(90 * 24);

/// Why a key was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRejection {
    /// The reason that the satellite gets.
    pub class: RejectionClass,
    /// The number of hashes that the key was compared with for that.
    pub compared: u32,
}

impl Satellites {
    /// Returns the satellite that a key belongs to.
    ///
    /// # Errors
    /// `AuthInvalid` for any key that is not the current one of a satellite; `RateLimited` where the mode does not suffice to
    /// decide; `Forbidden` where the satellite may not connect from this address, which is no reason to give up the key.
    pub(crate) async fn authenticate(
        &self,
        key: &str,
        ip: Option<&str>,
        mode: VerifyMode,
    ) -> Result<SatelliteIdentity> {
        let (id, secret) = split_satellite_key(key).map_err(|_| mode.refusal())?;
        let row = self.store.satellite_key(id).await?.ok_or_else(|| mode.refusal())?;
        if !self.identity.verifier().is_key(secret, &row.hash, mode) {
            return Err(mode.refusal());
        }
        // Only the satellite itself learns of its list.
        self.check_address(id, ip)?;
        // The handshake compares the generation once more: the key may be replaced before the link joins.
        Ok(SatelliteIdentity { id, key_generation: row.generation, ip: ip.map(str::to_owned) })
    }

    /// Returns why [`authenticate`](Self::authenticate) did not accept a key. The answer grants nothing: it tells the satellite
    /// what to do.
    ///
    /// # Errors
    /// `Unavailable` where the store is not reachable.
    pub(crate) async fn key_rejection(&self, key: &str) -> Result<KeyRejection> {
        let mut rejection = KeyRejection { class: RejectionClass::UnknownKey, compared: 0 };
        // A malformed key costs no hash: what cannot be a key was never one.
        let Ok((id, secret)) = split_satellite_key(key) else { return Ok(rejection) };
        for hash in self.store.satellite_superseded_keys(id, SUPERSEDED_COMPARED).await? {
            rejection.compared += 1;
            if self.identity.verifier().is_key(secret, &hash, VerifyMode::Full) {
                rejection.class = RejectionClass::Superseded;
                break;
            }
        }
        Ok(rejection)
    }

    /// Deletes the hashes of keys that were replaced long ago.
    pub(crate) async fn prune_superseded_keys(&self) -> Result<()> {
        let oldest = self.context.now().minus(SUPERSEDED_KEPT);
        Ok(self.store.satellite_superseded_keys_prune(oldest).await?)
    }
}
