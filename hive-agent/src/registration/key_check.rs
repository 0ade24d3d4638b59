//! Offers the stored keys to the hive, in their order.

use hive_wire::backoff::Backoff;
use secrecy::SecretString;
use tracing::{info, warn};

use super::Registrar;
use crate::clock;
use crate::identity::AgentIdentity;
use crate::satellite_api::{AuthRejection, CallError};

/// The hive's answer about one key, or about all keys.
pub(super) enum KeyCheck {
    Accepted,
    Rejected {
        /// Whether the hive knows one of them as replaced.
        is_superseded: bool,
    },
    /// Another hive answers, which cannot reject the key.
    OtherHive(CallError),
}

impl Registrar {
    /// Offers all keys in their order, and notes which one was accepted.
    pub(super) async fn try_keys(&self, identity: &mut AgentIdentity) -> KeyCheck {
        let mut is_superseded = false;
        for (place, key) in identity.keys.offer_order().iter().enumerate() {
            match self.check_key(identity, key).await {
                KeyCheck::Accepted => {
                    let now = clock::now();
                    identity.keys.accept(key, now);
                    identity.last_verified = Some(now);
                    info!(satellite.id = %identity.satellite_id, "the stored key is valid");
                    if place > 0 {
                        warn!(
                            "the hive accepts an older key of this satellite; it was probably restored from a backup"
                        );
                    }
                    return KeyCheck::Accepted;
                }
                KeyCheck::Rejected { is_superseded: this_one } => is_superseded |= this_one,
                // The other keys are not shown to it: a foreign hive should learn as little as possible.
                KeyCheck::OtherHive(error) => return KeyCheck::OtherHive(error),
            }
        }
        KeyCheck::Rejected { is_superseded }
    }

    /// Offers one key until a hive answers.
    async fn check_key(&self, identity: &AgentIdentity, key: &SecretString) -> KeyCheck {
        let mut backoff = Backoff::new(self.backoff_limits);
        loop {
            let Err(error) = self.api.heartbeat(identity.satellite_id, key, identity.hive_id).await else {
                return KeyCheck::Accepted;
            };
            match error.auth_rejection(identity.hive_id) {
                Some(AuthRejection::Rejected { is_superseded }) => return KeyCheck::Rejected { is_superseded },
                Some(AuthRejection::OtherHive(_)) => return KeyCheck::OtherHive(error),
                // An outage, a proxy, or a hive that an older key file does not name: none of them can reject a key.
                _ => self.wait(&mut backoff, &error, identity.hive_id).await,
            }
        }
    }
}
