//! The audit log as a service: drafts of its records, what a record keeps of something long or secret, and how far the log has come.
//!
//! The hash chain, the export and its signature are in [`crate::audit`].

pub(crate) mod draft;
pub(crate) mod excerpt;
mod head_file;
mod service;

pub(crate) use head_file::AuditHeadFile;
pub use head_file::reset_audit_head;
pub(crate) use service::AuditLog;
