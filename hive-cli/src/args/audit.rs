//! The audit trail.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hive_core::wire::Timestamp;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List records, newest first
    List(AuditListArgs),
    /// Write the whole trail and its signed manifest to a file
    Export {
        /// The file
        #[arg(long = "output", id = "file", value_name = "FILE")]
        file: PathBuf,
    },
    /// Check the hive's trail, or an exported file without the hive
    Verify(AuditVerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditListArgs {
    /// Only of this user, key or satellite, by name or id
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only of this action, such as satellite.exec
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only about this satellite, by name or id
    #[arg(long)]
    pub(crate) satellite: Option<String>,
    /// Not before, such as 2026-02-05T05:42:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// The most records
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// An exported file; the hive's own trail unless given
    pub(crate) file: Option<PathBuf>,
    /// The key that must have signed it, base64
    #[arg(long, requires = "file", value_name = "KEY")]
    pub(crate) public_key: Option<String>,
}
