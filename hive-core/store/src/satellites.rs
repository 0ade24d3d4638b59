//! Satellites.

mod registration;
mod rows;

use async_trait::async_trait;
use hive_wire::api::{TagCount, TagSort};
use hive_wire::{RegistrationTokenId, SatelliteId, SatelliteName, Timestamp};

use crate::audit::AuditDraft;
use crate::{RowRange, StoreResult};

pub use registration::{NamePolicy, NewSatellite, RegisterOutcome, RegistrationRetry};
pub use rows::{
    Assignment, JournalPosition, JournalRow, OpenWork, SatelliteDescription, SatelliteKeyRow, SatelliteOrder,
    SatellitePatch, SatelliteQuery, SatelliteRow, TagListQuery,
};

/// Satellites. Methods skip removed ones, unless they say otherwise.
#[async_trait]
pub trait SatelliteStore: Send + Sync {
    /// Consumes a registration token and registers a satellite, in one transaction. Of all callers with one token, at most one
    /// gets `Registered`.
    ///
    /// If [`NamePolicy`] allows it to take over an existing satellite of the same name and team, that satellite keeps its id,
    /// creation time and tags, gets the new key, and becomes inactive without a conflict. Its previous key is kept as
    /// superseded. If any other satellite has the name, the result is `NameTaken` and the token is not consumed.
    ///
    /// The audit record is written for `Registered` only. Its target becomes the id of the satellite.
    async fn satellite_register(
        &self,
        token: RegistrationTokenId,
        satellite: NewSatellite,
        audit: AuditDraft,
    ) -> StoreResult<RegisterOutcome>;
    /// Repeats a registration whose answer was lost: gives the satellite that registered with this token another key.
    ///
    /// The request must have the same attempt and name, the token must have been consumed since `again.since`, and no other
    /// token may have been consumed for the satellite later. The audit record is written only then, with the satellite as its
    /// target.
    async fn satellite_register_again(
        &self,
        token: RegistrationTokenId,
        again: RegistrationRetry,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>>;
    /// Returns a satellite.
    async fn satellite_get(&self, id: SatelliteId) -> StoreResult<Option<SatelliteRow>>;
    /// Returns the satellite with this name.
    async fn satellite_find(&self, name: &SatelliteName) -> StoreResult<Option<SatelliteRow>>;
    /// Returns those of these satellites that there are, each once and in any order.
    async fn satellite_get_many(&self, ids: &[SatelliteId]) -> StoreResult<Vec<SatelliteRow>>;
    /// Returns the satellites with these names, each once and in any order.
    async fn satellite_find_many(&self, names: &[SatelliteName]) -> StoreResult<Vec<SatelliteRow>>;
    /// Lists satellites, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn satellite_list(
        &self,
        query: &SatelliteQuery,
        range: RowRange<SatelliteOrder>,
    ) -> StoreResult<(Vec<SatelliteRow>, u64)>;
    /// Lists the ids of satellites. It reads no more of them.
    async fn satellite_list_ids(
        &self,
        query: &SatelliteQuery,
        range: RowRange<SatelliteOrder>,
    ) -> StoreResult<Vec<SatelliteId>>;
    /// Lists tags, each with the number of satellites that have it, and returns the total, counted up to one more than
    /// [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn satellite_tag_list(
        &self,
        query: &TagListQuery,
        range: RowRange<TagSort>,
    ) -> StoreResult<(Vec<TagCount>, u64)>;
    /// Changes a satellite. Fails with `Taken` if another satellite has the new name.
    ///
    /// An assignment to another team replaces the key, keeps the previous one as superseded, and ends what is open on the
    /// satellite: commands as cancelled, sessions as killed. The audit record counts them in `ended`.
    async fn satellite_update(
        &self,
        id: SatelliteId,
        patch: SatellitePatch,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>>;
    /// Removes a satellite, deletes its key, and ends what is open on it: queued commands as cancelled, delivered ones as
    /// `outcome_unknown`, sessions as killed. It is listed by no group any more. The audit record counts what ended in `ended`. False if there is no such satellite.
    async fn satellite_remove(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
    /// Activates an inactive satellite. True for the one caller that did it, whose audit record is written.
    async fn satellite_activate(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
    /// Returns the status of a satellite, and which kinds of commands a new link has to bring: one statement instead of a list of
    /// each kind, because most satellites have none.
    async fn satellite_open_work(&self, id: SatelliteId) -> StoreResult<Option<OpenWork>>;
    /// Returns the hash that verifies the key of a satellite.
    async fn satellite_key(&self, id: SatelliteId) -> StoreResult<Option<SatelliteKeyRow>>;
    /// Lists up to `limit` hashes of superseded keys of a satellite, newest first.
    async fn satellite_superseded_keys(&self, id: SatelliteId, limit: u32) -> StoreResult<Vec<String>>;
    /// Deletes the keys that were superseded before this time. Not audited: they authenticate nobody.
    async fn satellite_superseded_keys_prune(&self, before: Timestamp) -> StoreResult<()>;
    /// Stores how satellites describe themselves, all in one transaction. Not audited: it comes with every link.
    async fn satellite_describe(&self, descriptions: Vec<SatelliteDescription>) -> StoreResult<()>;
    /// Sets the journal and the process of a satellite's link. Not audited: it comes with every link.
    async fn satellite_journal_set(&self, id: SatelliteId, journal: JournalRow) -> StoreResult<()>;
    /// Raises the positions of journals. A position that is lower than the stored one, or of another journal, has no effect. Not
    /// audited: it comes with every command.
    async fn satellite_journal_advance(&self, positions: Vec<JournalPosition>) -> StoreResult<()>;
    /// Sets the time at which another process with the identity of this satellite was refused. False if there is no such
    /// satellite. The audit record is written only for true.
    async fn satellite_conflict(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
}
