//! The storage of a hive.
//!
//! - There is one trait for each kind of thing, such as [`SatelliteStore`]. [`Store`] is all of them together.
//! - [`Database`] opens a store on SQLite or PostgreSQL. A [`StoreLayer`] changes a few methods of another store.
//! - What satellites report again and again is not part of it: [`TelemetryStore`] has a database of its own, which may be lost.
//! - Each change takes the audit record of the change ([`audit::AuditDraft`]), and commits both in one transaction. Methods without
//!   a record say that they are not audited.
//! - What must happen once is one method, and never a read followed by a write. Such a method returns which caller did it.
//! - Methods return rows. Rows are internal to the hive: the services convert them to the types of `hive_wire::api`.
//!
//! Each promise of a trait has a check in the crate `hive-store-conformance`, which every implementation must pass.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

// The stores of each kind of thing, with their rows.
mod allow_lists;
mod answers;
pub mod audit;
mod commands;
mod groups;
mod hive;
mod identity;
mod jobs;
mod registration_tokens;
mod retention;
mod satellites;
mod sessions;
mod telemetry;

// What they share.
pub mod access;
mod error;
mod row_order;
mod row_range;

// Implementations.
mod database;
mod disk;
mod layer;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

// Backups and files.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod backup;
pub mod key_files;
pub mod private_files;

#[cfg(test)]
mod fixture;

pub use allow_lists::{AllowListRow, AllowListStore, AllowListSubject};
pub use answers::{AnswerClaim, AnswerClaimOutcome, AnswerRow, AnswerStore, StoredAnswer, WholeAnswer};
pub use audit::AuditStore;
pub use commands::{
    CommandInsertOutcome, CommandOutcome, CommandRow, CommandStore, Delivery, IdempotencyKey, NewCommand,
    OpenCommandCount, QueuePage, QueuedCommandRow, TurnRow,
};
pub use database::{Database, InvalidDatabase};
pub use disk::{DiskError, DiskFault};
pub use error::{BoxError, StoreError, StoreResult};
pub use groups::{GroupPatch, GroupQuery, GroupStore, SatelliteSelection};
pub use hive::{Fingerprints, HiveRow, HiveStore};
pub use identity::{
    ApiKeyOwner, ApiKeyRow, ApiKeyStore, CancelledCommand, IdentityStore, KeyRotation, Losses, MemberLosses,
    NeededRoles, NewUserRow, PreviousKey, RemainingRights, TeamPatch, TeamStore, UserPatch, UserRow, UserStore,
    UserUpdateOutcome,
};
pub use jobs::{JobEnd, JobInsertOutcome, JobRow, JobStore, JobTargetRow, NewJob, NewJobTarget};
pub use layer::StoreLayer;
pub use registration_tokens::{NewRegistrationTokenRow, RegistrationTokenRow, RegistrationTokenStore, TokenState};
pub use retention::{AuditRange, RetentionStore};
pub use row_order::{KeyKind, RowOrder, SortKey, SortValue};
pub use row_range::{MAX_COUNTED, RowRange, RowStart};
pub use satellites::{
    Assignment, JournalPosition, JournalRow, NamePolicy, NewSatellite, OpenWork, RegisterOutcome, RegistrationRetry,
    SatelliteDescription, SatelliteKeyRow, SatelliteOrder, SatellitePatch, SatelliteQuery, SatelliteRow,
    SatelliteStore, TagListQuery,
};
pub use sessions::{NewSession, SessionQuery, SessionRow, SessionStore};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::{SqlStore, SqlTelemetryStore};
pub use telemetry::{HeartbeatRow, MAX_GLOBAL_HEARTBEATS, MAX_TEAM_HEARTBEATS, TelemetryStore};

/// Everything a hive keeps.
///
/// A service takes only the traits that it uses: an `Arc<dyn Store>` coerces to each of them.
///
/// ```
/// use std::sync::Arc;
///
/// use hive_store::{Database, SatelliteStore, Store, StoreResult};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> StoreResult<()> {
/// let store: Arc<dyn Store> = Database::in_memory().open().await?;
/// let satellites: Arc<dyn SatelliteStore> = store;
/// # assert!(satellites.satellite_find(&"web-server-01".try_into().unwrap()).await?.is_none());
/// # Ok(())
/// # }
/// ```
pub trait Store:
    HiveStore
    + SatelliteStore
    + GroupStore
    + CommandStore
    + JobStore
    + AnswerStore
    + SessionStore
    + IdentityStore
    + AllowListStore
    + RegistrationTokenStore
    + AuditStore
    + RetentionStore
{
}

impl<T> Store for T where
    T: HiveStore
        + SatelliteStore
        + GroupStore
        + CommandStore
        + JobStore
        + AnswerStore
        + SessionStore
        + IdentityStore
        + AllowListStore
        + RegistrationTokenStore
        + AuditStore
        + RetentionStore
{
}
