//! The audit log: its records, the hash chain over them, and the signed export.
//!
//! - [`AuditAction`] is the catalogue of what is recorded.
//! - [`AuditDraft`] and [`AuditRecord`] are the records before and after they are stored. They know nothing of the rest.
//! - [`chain`] computes and verifies the hashes.
//! - [`AuditCheckpoint`] states, signed, up to where the log was pruned. A verification begins there.
//! - [`export_log`] writes the log of a store with a signed manifest; [`verify_export`] verifies that file offline.

mod catalogue;
pub mod chain;
mod checkpoint;
mod export;
mod model;
mod signer;
mod store;

pub use catalogue::AuditAction;
pub use checkpoint::AuditCheckpoint;
pub use export::{ExportError, export_log, read_export, verify_export};
pub use model::{AuditDraft, AuditHead, AuditRecord};
pub use signer::AuditSigner;
pub use store::AuditStore;
