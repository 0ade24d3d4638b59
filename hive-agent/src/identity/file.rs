//! The format of `backend.key.json`, and of the file for rejected keys, with a checksum.

use hive_wire::{HiveId, SatelliteId, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AgentIdentity, DatedKey, StoredKeys};
use crate::storage::checksum::Checksum;

/// A key file. Not `Debug`, because it contains keys.
#[derive(Serialize, Deserialize)]
pub(super) struct KeyFile {
    /// The key that was accepted last, or the candidate if none was accepted yet.
    api_key: String,
    satellite_id: SatelliteId,
    satellite_name: String,
    registered_at: Timestamp,
    #[serde(default)]
    last_verified: Option<Timestamp>,
    /// Older agents write neither this nor the fields below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hive_id: Option<HiveId>,
    /// Every key that was accepted in the last 90 days, the last accepted first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<AcceptedKey>,
    /// The key that was received last, until it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    candidate: Option<CandidateKey>,
    /// A checksum over the other fields. The first agents wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct AcceptedKey {
    api_key: String,
    accepted_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct CandidateKey {
    api_key: String,
    received_at: Timestamp,
}

impl KeyFile {
    fn sum(&self) -> Checksum {
        let Self { api_key, satellite_id, satellite_name, registered_at, last_verified, .. } = self;
        let mut all = vec![json!([api_key, satellite_id, satellite_name, registered_at, last_verified])];
        let Self { hive_id, keys, candidate, .. } = self;
        // Files of older agents have none of these fields, and their checksum covers only the first group.
        if hive_id.is_some() || !keys.is_empty() || candidate.is_some() {
            all.push(json!([hive_id, keys, candidate]));
        }
        let text: String = all.iter().map(ToString::to_string).collect();
        Checksum::of(text.as_bytes())
    }

    pub(super) fn has_valid_checksum(&self) -> bool {
        self.checksum.as_ref().is_none_or(|written| self.sum().is(written.as_bytes()))
    }
}

impl From<KeyFile> for AgentIdentity {
    fn from(file: KeyFile) -> Self {
        let KeyFile {
            api_key,
            satellite_id,
            satellite_name,
            registered_at,
            last_verified,
            hive_id,
            keys,
            candidate,
            checksum: _,
        } = file;
        let accepted = keys.into_iter().map(|key| DatedKey { api_key: key.api_key.into(), at: key.accepted_at });
        let candidate = candidate.map(|key| DatedKey { api_key: key.api_key.into(), at: key.received_at });
        // Older agents stored a single key, which had been accepted when the file was written.
        let only = DatedKey { api_key: api_key.into(), at: last_verified.unwrap_or(registered_at) };
        let keys = StoredKeys::of(accepted.collect(), candidate);
        let keys = keys.unwrap_or_else(|| StoredKeys::with_accepted(only));
        Self { satellite_id, satellite_name, hive_id, keys, registered_at, last_verified }
    }
}

impl From<&AgentIdentity> for KeyFile {
    fn from(identity: &AgentIdentity) -> Self {
        let AgentIdentity { satellite_id, satellite_name, hive_id, keys, registered_at, last_verified } = identity;
        let exposed = |api_key: &SecretString| api_key.expose_secret().to_owned();
        let accepted = keys.accepted();
        let mut file = Self {
            api_key: accepted.first().map_or_else(|| exposed(&keys.first()), |key| exposed(&key.api_key)),
            satellite_id: *satellite_id,
            satellite_name: satellite_name.clone(),
            registered_at: *registered_at,
            last_verified: *last_verified,
            hive_id: *hive_id,
            keys: accepted
                .iter()
                .map(|key| AcceptedKey { api_key: exposed(&key.api_key), accepted_at: key.at })
                .collect(),
            candidate: keys.candidate().map(|key| CandidateKey { api_key: exposed(&key.api_key), received_at: key.at }),
            checksum: None,
        };
        file.checksum = Some(file.sum().to_string());
        file
    }
}
