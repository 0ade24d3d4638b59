//! The audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hive_core::wire::AuditId;
use hive_core::wire::api::AuditSort;

use super::Moment;
use super::sorting::SortArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List records, newest first
    List(AuditListArgs),
    /// Show one record with all its fields
    #[command(visible_alias = "get", after_help = "Example:\n  hive audit show 14")]
    Show {
        /// Its number (SEQ) or id
        #[arg(value_name = "SEQ|ID", value_parser = parse_record)]
        record: RecordRef,
    },
    /// Write the whole audit log and its signed manifest to a file
    #[command(after_help = "\
Examples:
  hive audit export --output audit.jsonl
  hive audit export --output - | gzip > audit.jsonl.gz")]
    Export {
        /// The file, or - for standard output
        #[arg(long = "output", id = "file", value_name = "FILE")]
        file: PathBuf,
    },
    /// Verify the hive's audit log, or an exported file without the hive
    Verify(AuditVerifyArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hive audit list --actor anna --since 2h
  hive audit list --satellite web-server-01 --action satellite.exec -o jsonl")]
pub(crate) struct AuditListArgs {
    /// Only records of this user, key or satellite, by name or id
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) actor: Option<String>,
    /// Only records of this action, such as satellite.exec
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only records about this satellite, by name or id
    #[arg(long, add = crate::completion::satellites())]
    pub(crate) satellite: Option<String>,
    /// Only records from this time on: 2026-02-05T05:42:00Z, or before now: 30m, 2h, 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,
    /// Only records before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Moment>,
    #[command(flatten)]
    pub(crate) order: SortArgs<AuditSort>,
    /// List at most this many records
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
}

/// How a record is named: by its number or its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordRef {
    Seq(u64),
    Id(AuditId),
}

fn parse_record(text: &str) -> Result<RecordRef, &'static str> {
    // Records are numbered from 1.
    let by_seq = text.parse().ok().filter(|seq| *seq > 0).map(RecordRef::Seq);
    by_seq.or_else(|| text.parse().ok().map(RecordRef::Id)).ok_or("must be a number from 1, or an id such as aud_…")
}

#[derive(Debug, Args)]
#[command(after_help = "\
The exit status is 1 if a fault is found.

Examples:
  hive audit verify
  hive audit verify audit.jsonl --public-key \"$(cat audit.pub)\"")]
pub(crate) struct AuditVerifyArgs {
    /// An exported file [default: the audit log of the hive]
    pub(crate) file: Option<PathBuf>,
    /// The public key that must have signed it, base64
    #[arg(long, requires = "file", value_name = "KEY")]
    pub(crate) public_key: Option<String>,
}
