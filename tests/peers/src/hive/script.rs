//! What a fake hive answers to whom, and what it was asked.

use std::collections::VecDeque;

use hive_wire::id::Seed;
use hive_wire::{HiveId, SatelliteId};

/// The API key that a registration gives.
pub const KEY: &str = "hive_satellite_api_global_hunter2";
/// A token with a valid format.
pub const TOKEN: &str = "hive_satellite_global_aaa.bbb.ccc";

/// A status and a body.
pub(super) type ScriptedAnswer = (u16, String);

#[derive(Default)]
pub(super) struct Script {
    /// Answers for the next calls whose path has this end.
    pub(super) answers: VecDeque<(&'static str, ScriptedAnswer)>,
    /// The keys that are accepted; `None` for all.
    pub(super) accepted: Option<Vec<String>>,
    pub(super) requests: Vec<String>,
    pub(super) heads: Vec<String>,
    pub(super) bodies: Vec<String>,
    pub(super) hive_id_headers: Vec<String>,
}

impl Script {
    /// Takes the scripted answer to a call of this path.
    pub(super) fn take_answer(&mut self, path: &str) -> Option<ScriptedAnswer> {
        let number = self.answers.iter().position(|(end, _)| path.ends_with(end))?;
        self.answers.remove(number).map(|(_, answer)| answer)
    }

    pub(super) fn accepts(&self, key: &str) -> bool {
        self.accepted.as_ref().is_none_or(|accepted| accepted.iter().any(|known| known == key))
    }
}

/// The id of the satellite that registers.
pub fn satellite_id() -> SatelliteId {
    SatelliteId::new(Seed { unix_millis: 1, random: [9; 10] })
}

/// The id of the hive.
pub fn hive_id() -> HiveId {
    HiveId::new(Seed { unix_millis: 1, random: [8; 10] })
}
