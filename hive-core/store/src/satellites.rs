//! Satellites.

mod registration;
mod rows;

use async_trait::async_trait;
use hive_wire::{RegistrationTokenId, SatelliteId, SatelliteName, Timestamp};

use crate::audit::AuditDraft;
use crate::{StoreResult, Window};

pub use registration::{NameUse, NewSatellite, RegisterAgain, RegisterOutcome};
pub use rows::{
    Assignment, JournalPosition, JournalRow, SatelliteKeyRow, SatellitePatch, SatelliteQuery, SatelliteRow, Seen,
};

/// Satellites.
#[async_trait]
pub trait SatelliteStore: Send + Sync {
    /// Takes a registration token and registers a satellite with it, in one transaction. Of all callers with one token at
    /// most one gets `Registered`. The satellite that is named to be taken over, of this name and team, keeps its id,
    /// creation time and labels, gets the new key (the one before is kept as superseded) and is inactive again, without a conflict. Any other one that has the name
    /// keeps it, and the token is not spent. The record is written only for `Registered`, with the satellite's final id as its
    /// target.
    async fn satellite_register(
        &self,
        token: RegistrationTokenId,
        satellite: NewSatellite,
        audit: AuditDraft,
    ) -> StoreResult<RegisterOutcome>;
    /// Gives the satellite that has registered with this token another key, where the request is the same by its attempt and
    /// name and the token was used since then, and no other token was used for the satellite afterwards. The record is written
    /// only then, with the satellite as its target.
    async fn satellite_register_again(
        &self,
        token: RegistrationTokenId,
        again: RegisterAgain,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>>;
    /// Returns a satellite that is not removed.
    async fn satellite_get(&self, id: SatelliteId) -> StoreResult<Option<SatelliteRow>>;
    /// Returns the satellite of this name that is not removed.
    async fn satellite_find(&self, name: &SatelliteName) -> StoreResult<Option<SatelliteRow>>;
    /// Lists satellites by name, and how many there are. Removed ones are left out.
    async fn satellite_list(&self, query: &SatelliteQuery, window: Window) -> StoreResult<(Vec<SatelliteRow>, u64)>;
    /// Changes a satellite; with another team its key before is dead and kept as superseded, and what is open on it ends: commands as cancelled,
    /// terminals as killed. The record says in `ended` how many. `Taken` where the new name belongs to another; a
    /// removed satellite has none.
    async fn satellite_update(
        &self,
        id: SatelliteId,
        patch: SatellitePatch,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>>;
    /// Removes a satellite, kills its key and ends what is open on it: queued commands as cancelled, others as of unknown
    /// outcome, terminals as killed. The record says in `ended` how many. False where there is none.
    async fn satellite_remove(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
    /// Activates a satellite that is inactive. True for the one caller that did it; only then the record is written.
    async fn satellite_activate(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
    /// Returns what verifies a satellite's key.
    async fn satellite_key(&self, id: SatelliteId) -> StoreResult<Option<SatelliteKeyRow>>;
    /// Lists up to `limit` hashes of keys of a satellite that were replaced, newest first. Those of one that was removed are
    /// not listed.
    async fn satellite_superseded_keys(&self, id: SatelliteId, limit: u32) -> StoreResult<Vec<String>>;
    /// Forgets the keys that were replaced before this time. Not audited: they log nobody in.
    async fn satellite_superseded_keys_prune(&self, before: Timestamp) -> StoreResult<()>;
    /// Notes signs of life, all in one transaction. Not audited: telemetry.
    async fn satellite_seen(&self, seen: Vec<Seen>) -> StoreResult<()>;
    /// Sets which journal and process are behind a satellite's link. Not audited: telemetry.
    async fn satellite_journal_set(&self, id: SatelliteId, journal: JournalRow) -> StoreResult<()>;
    /// Notes how far journals have come. A position that is lower than the stored one, or of another journal, changes nothing.
    async fn satellite_journal_advance(&self, positions: Vec<JournalPosition>) -> StoreResult<()>;
    /// Notes that another process with the satellite's identity was refused. False where there is no such satellite; the
    /// record is written only for true.
    async fn satellite_conflict(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
}
