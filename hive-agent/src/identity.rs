//! The satellite's identity: id, name, hive, keys. [`data_dir`] stores it.

mod data_dir;
mod file;
mod stored_keys;

use hive_wire::{HiveId, SatelliteId, Timestamp};

use stored_keys::DatedKey;

pub(crate) use data_dir::DataDir;
pub(crate) use stored_keys::StoredKeys;

/// The identity in a data directory.
#[derive(Debug)]
pub(crate) enum StoredIdentity {
    /// The satellite has never registered.
    Unregistered,
    /// The satellite is registered.
    Usable(AgentIdentity),
    /// The satellite is registered, and the hive has rejected every key.
    Rejected(AgentIdentity),
}

/// The identity of a registered satellite.
#[derive(Debug, Clone)]
pub(crate) struct AgentIdentity {
    pub(crate) satellite_id: SatelliteId,
    pub(crate) satellite_name: String,
    /// The id of its hive. Files of older agents do not have it; the next handshake adds it.
    pub(crate) hive_id: Option<HiveId>,
    pub(crate) keys: StoredKeys,
    pub(crate) registered_at: Timestamp,
    pub(crate) last_verified: Option<Timestamp>,
}

impl AgentIdentity {
    /// Whether it is the same satellite of the same hive.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.satellite_id == other.satellite_id && self.hive_id == other.hive_id
    }

    /// Whether it contains all keys of another one.
    fn covers(&self, other: &Self) -> bool {
        self.is_same(other) && self.keys.contains_all(&other.keys)
    }
}
