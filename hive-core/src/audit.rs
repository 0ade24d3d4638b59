//! The audit log as a service: drafts of its records, what a record keeps of something long or secret, and how far the log has come.
//!
//! Its records, the hash chain, the export and its signature are in [`hive_store::audit`].

pub(crate) mod draft;
pub(crate) mod excerpt;
mod head_file;
mod logger;
mod pruning;
mod service;

pub(crate) use hive_store::audit::export_log;
pub use hive_store::audit::{AuditAction, AuditDraft, AuditSigner, ExportError, chain, read_export, verify_export};

pub(crate) use head_file::AuditHeadFile;
pub use head_file::reset_audit_head;
pub use logger::AuditLogger;
pub(crate) use pruning::sign_beginning_again;
pub(crate) use service::AuditLog;
