//! `hive audit`: the audit log, its export, and the verification of both.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use hive_core::audit::{ExportError, verify_export};
use hive_core::wire::Timestamp;
use hive_core::wire::api::{AuditEntry, AuditExportLine, AuditQuery, AuditVerification, ChainFault, PageRequest};
use hive_core::{Error, RemoteHive};
use serde_json::json;

use super::invocation::Invocation;
use super::{or_empty, wire_name};
use crate::args::{AuditCommand, AuditListArgs, AuditVerifyArgs, Moment, RecordRef};
use crate::error::{CliError, Result};
use crate::files::{AtomicFile, is_stdout};
use crate::output::{self, Printer};
use crate::settings::HiveSelector;
use crate::table::TextTable;
use hive_core::HiveApi;
use hive_core::lists::collect;

/// Returns the exit code: 1 where a verification finds a fault. A file is verified without a hive.
pub(super) async fn run(selector: HiveSelector, printer: Printer, command: AuditCommand) -> Result<u8> {
    if let AuditCommand::Verify(AuditVerifyArgs { file: Some(path), public_key }) = command {
        return report(printer, &verify_file(&path, public_key.as_deref())?);
    }
    let invocation = Invocation::connect(selector).await?;
    let result = call(&invocation.hive, printer, command).await;
    invocation.with_hint(result).await
}

async fn call(api: &RemoteHive, printer: Printer, command: AuditCommand) -> Result<u8> {
    match command {
        AuditCommand::List(args) => {
            // Relative times count from the clock of the hive, which wrote the times of the records. The clock here may
            // differ.
            let is_relative = [args.since, args.until].iter().flatten().any(Moment::is_relative);
            let now = if is_relative { api.time().await? } else { Timestamp::from_micros(0) };
            list(api, printer, args, now).await.map(|()| 0)
        }
        AuditCommand::Show { record } => show(printer, &find(api, record).await?).map(|()| 0),
        AuditCommand::Export { file } => export(api, printer, &file).await.map(|()| 0),
        AuditCommand::Verify(_) => report(printer, &api.audit().verify().await?),
    }
}

async fn list(api: &dyn HiveApi, printer: Printer, args: AuditListArgs, now: Timestamp) -> Result<()> {
    let satellite_id = match &args.satellite {
        // An id is not looked up: a removed satellite still has its records.
        Some(word) => Some(match word.parse() {
            Ok(id) => id,
            Err(_) => crate::lookup::satellite(api, word).await?.id,
        }),
        None => None,
    };
    let AuditListArgs { actor, action, since, until, order, limit, .. } = args;
    let [since, until] = [since, until].map(|moment| moment.map(|moment| moment.as_of(now)));
    let query = AuditQuery { actor, action, satellite_id, since, until, seq: None };
    let audit = api.audit();
    let list = collect(limit, order.sort, |page| audit.query(query.clone(), page)).await?;
    printer
        .show(&list, |list| TextTable::of(["SEQ", "TIME", "ACTOR", "ACTION", "TARGET", "RESULT", "ERROR"], list, row))
}

fn row(entry: &AuditEntry) -> [String; 7] {
    [
        entry.seq.to_string(),
        entry.timestamp.to_string(),
        entry.actor.name.clone(),
        entry.action.clone(),
        format!("{} {}", entry.target.kind, entry.target.id),
        wire_name(&entry.result),
        entry.error.clone().unwrap_or_default(),
    ]
}

async fn find(api: &dyn HiveApi, record: RecordRef) -> Result<AuditEntry> {
    let found = match record {
        RecordRef::Id(id) => api.audit().get(id).await?,
        RecordRef::Seq(seq) => by_seq(api, seq).await?,
    };
    let id = match record {
        RecordRef::Id(id) => id.to_string(),
        RecordRef::Seq(seq) => seq.to_string(),
    };
    Ok(found.ok_or(Error::NotFound { what: "audit record", id })?)
}

/// Finds a record by its number.
async fn by_seq(api: &dyn HiveApi, seq: u64) -> Result<Option<AuditEntry>> {
    let query = AuditQuery { seq: Some(seq), ..AuditQuery::default() };
    let found = api.audit().query(query, PageRequest::first(1)).await?.items.pop();
    // A hive of an earlier version may ignore the filter.
    Ok(found.filter(|entry| entry.seq == seq))
}

fn show(printer: Printer, entry: &AuditEntry) -> Result<()> {
    printer.show(entry, |entry| {
        let ip = or_empty(entry.actor.ip.as_ref());
        TextTable::pairs([
            ("seq", entry.seq.to_string()),
            ("id", entry.id.to_string()),
            ("time", entry.timestamp.to_string()),
            ("actor", format!("{} {} ({})", entry.actor.kind, entry.actor.name, entry.actor.id)),
            ("from", ip),
            ("action", entry.action.clone()),
            ("target", format!("{} {}", entry.target.kind, entry.target.id)),
            ("team", or_empty(entry.team_id)),
            ("result", wire_name(&entry.result)),
            ("error", or_empty(entry.error.as_ref())),
            ("details", entry.details.to_string()),
            ("hash before", entry.previous_hash.clone()),
            ("hash", entry.hash.clone()),
        ])
    })
}

/// Exports the audit log. The file gets its name when the manifest is in it.
async fn export(api: &dyn HiveApi, printer: Printer, path: &Path) -> Result<()> {
    if is_stdout(path) {
        let records = write_log(api, output::bytes).await?;
        output::stderr_text(&format!("{records} records"));
        return Ok(());
    }
    let mut file = AtomicFile::create(path).map_err(CliError::file("write", path))?;
    let write = |line: &[u8]| file.write_all(line).map_err(CliError::file("write", path));
    let records = write_log(api, write).await?;
    file.commit().map_err(CliError::file("write", path))?;
    let sentence = format!("{records} records are in {}", path.display());
    printer.report(&json!({ "file": path, "records": records }), &sentence)
}

/// Writes the lines of the audit log and returns the number of its records.
async fn write_log(api: &dyn HiveApi, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let mut lines = api.audit().export().await?;
    let mut records = 0_u64;
    let mut is_complete = false;
    while let Some(line) = lines.next().await {
        is_complete = matches!(line, AuditExportLine::Manifest { .. });
        records += u64::from(!is_complete);
        let mut text = serde_json::to_vec(&line).map_err(|error| CliError::Output(error.into()))?;
        text.push(b'\n');
        write(&text)?;
    }
    // A stream that breaks off looks like one that ends: only the manifest, the last line, tells them apart.
    if !is_complete {
        return Err(Error::Unavailable("the export broke off before its manifest".into()).into());
    }
    Ok(records)
}

fn report(printer: Printer, verification: &AuditVerification) -> Result<u8> {
    printer.report(verification, &findings(verification))?;
    Ok(u8::from(!verification.valid))
}

fn verify_file(path: &Path, public_key: Option<&str>) -> Result<AuditVerification> {
    let file = File::open(path).map_err(CliError::file("read", path))?;
    verify_export(BufReader::new(file), public_key).map_err(|error| match error {
        ExportError::Read(error) => CliError::file("read", path)(error),
        other => CliError::usage(format!("{}: {other}", path.display())),
    })
}

fn findings(verification: &AuditVerification) -> String {
    let verdict = if verification.valid { "nothing is wrong" } else { "tampered with" };
    let mut lines = vec![format!("{} records, {verdict}", verification.records)];
    lines.extend(verification.public_key.iter().map(|key| format!("signed by {key}")));
    lines.extend(verification.faults.iter().map(|fault| format!("- {}", describe(fault))));
    lines.join("\n")
}

fn describe(fault: &ChainFault) -> String {
    match fault {
        ChainFault::Changed { seq } => format!("record {seq} was changed"),
        ChainFault::Removed { first, last } if first == last => format!("record {first} was removed"),
        ChainFault::Removed { first, last } => format!("records {first} to {last} were removed"),
        ChainFault::Reordered { seq } => format!("record {seq} was moved"),
        ChainFault::Inserted { seq } => format!("a record was inserted as {seq}"),
        ChainFault::TailCut { last_seq, expected } => {
            format!("the end was cut off: {last_seq} is last, {expected} should be")
        }
        ChainFault::ManifestMissing => "there is no manifest, so a cut end cannot be seen".into(),
        ChainFault::ManifestForged => "the manifest was not signed by the key".into(),
        ChainFault::CheckpointForged { seq } => format!("record {seq} is a checkpoint that the hive did not sign"),
        ChainFault::Unreadable { line } => format!("line {line} is not a record"),
        ChainFault::Unknown(fault) => fault.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        let verification = AuditVerification {
            valid: false,
            records: 4,
            head_hash: String::new(),
            public_key: Some("key".into()),
            faults: vec![ChainFault::Changed { seq: 2 }, ChainFault::Removed { first: 5, last: 7 }],
        };
        let expected = "4 records, tampered with\nsigned by key\n- record 2 was changed\n- records 5 to 7 were removed";
        assert_eq!(findings(&verification), expected);
    }
}
