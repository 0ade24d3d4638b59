//! `hive audit`: the trail, its exported file, and whether either was tampered with.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use hive_core::audit::{ExportError, verify_export};
use hive_core::wire::Timestamp;
use hive_core::wire::api::{AuditEntry, AuditExportLine, AuditQuery, AuditVerification, ChainFault, PageRequest};
use hive_core::{Error, RemoteHive};
use serde_json::json;

use super::invocation::Invocation;
use super::{shown, word};
use crate::args::{AuditCommand, AuditListArgs, AuditVerifyArgs, Moment, Record};
use crate::failure::{Failure, Result};
use crate::files::{Draft, is_stdout};
use crate::output::{self, Output};
use crate::pages;
use crate::settings::HiveSelector;
use crate::table::Table;
use hive_core::HiveApi;

/// How often a record is looked for by its number, while others are added in front of it.
const TRIES: usize = 5;

/// Gives the exit code: 1 where a verification finds something wrong. A file is verified without a hive.
pub(super) async fn run(selector: HiveSelector, output: Output, command: AuditCommand) -> Result<u8> {
    if let AuditCommand::Verify(AuditVerifyArgs { file: Some(path), public_key }) = command {
        return report(output, &verify_file(&path, public_key.as_deref())?);
    }
    let invocation = Invocation::connect(selector).await?;
    let result = call(&invocation.hive, output, command).await;
    invocation.with_hint(result).await
}

async fn call(api: &RemoteHive, output: Output, command: AuditCommand) -> Result<u8> {
    match command {
        AuditCommand::List(args) => {
            // How long ago something was counts by the clock that stands in the records, not by ours.
            let is_relative = [args.since, args.until].iter().flatten().any(Moment::is_relative);
            let now = if is_relative { api.time().await? } else { Timestamp::from_micros(0) };
            list(api, output, args, now).await.map(|()| 0)
        }
        AuditCommand::Show { record } => show(output, &find(api, record).await?).map(|()| 0),
        AuditCommand::Export { file } => export(api, output, &file).await.map(|()| 0),
        AuditCommand::Verify(_) => report(output, &api.audit().verify().await?),
    }
}

async fn list(api: &dyn HiveApi, output: Output, args: AuditListArgs, now: Timestamp) -> Result<()> {
    let satellite_id = match &args.satellite {
        // A removed satellite still has its records.
        Some(word) => Some(match word.parse() {
            Ok(id) => id,
            Err(_) => crate::find::satellite(api, word).await?.id,
        }),
        None => None,
    };
    let AuditListArgs { actor, action, since, until, limit, .. } = args;
    let [since, until] = [since, until].map(|moment| moment.map(|moment| moment.as_of(now)));
    let query = AuditQuery { actor, action, satellite_id, since, until };
    let list = pages::collect(limit, async |page| api.audit().query(query.clone(), page).await).await?;
    output.show(&list, |list| Table::of(["SEQ", "TIME", "ACTOR", "ACTION", "TARGET", "RESULT", "ERROR"], list, row))
}

fn row(entry: &AuditEntry) -> [String; 7] {
    [
        entry.seq.to_string(),
        entry.timestamp.to_string(),
        entry.actor.name.clone(),
        entry.action.clone(),
        format!("{} {}", entry.target.kind, entry.target.id),
        word(&entry.result),
        entry.error.clone().unwrap_or_default(),
    ]
}

async fn find(api: &dyn HiveApi, record: Record) -> Result<AuditEntry> {
    let found = match record {
        Record::Id(id) => api.audit().get(id).await?,
        Record::Seq(seq) => by_seq(api, seq).await?,
    };
    let id = match record {
        Record::Id(id) => id.to_string(),
        Record::Seq(seq) => seq.to_string(),
    };
    Ok(found.ok_or(Error::NotFound { what: "audit record", id })?)
}

/// Looks where a record without gaps before it would be; whoever may not see all of the trail does not find it there.
async fn by_seq(api: &dyn HiveApi, seq: u64) -> Result<Option<AuditEntry>> {
    let mut page = 1;
    for _ in 0..TRIES {
        let at = PageRequest { page, per_page: 1 };
        let Some(entry) = api.audit().query(AuditQuery::default(), at).await?.items.pop() else { break };
        // The newest is first, and more come meanwhile.
        match i64::try_from(entry.seq).unwrap_or(0) - i64::try_from(seq).unwrap_or(i64::MAX) {
            0 => return Ok(Some(entry)),
            distance => match u32::try_from(i64::from(page) + distance) {
                Ok(next @ 1..) => page = next,
                _ => break,
            },
        }
    }
    Ok(None)
}

fn show(output: Output, entry: &AuditEntry) -> Result<()> {
    output.show(entry, |entry| {
        let ip = shown(entry.actor.ip.as_ref());
        Table::pairs([
            ("seq", entry.seq.to_string()),
            ("id", entry.id.to_string()),
            ("time", entry.timestamp.to_string()),
            ("actor", format!("{} {} ({})", entry.actor.kind, entry.actor.name, entry.actor.id)),
            ("from", ip),
            ("action", entry.action.clone()),
            ("target", format!("{} {}", entry.target.kind, entry.target.id)),
            ("team", shown(entry.team_id)),
            ("result", word(&entry.result)),
            ("error", shown(entry.error.as_ref())),
            ("details", entry.details.to_string()),
            ("hash before", entry.previous_hash.clone()),
            ("hash", entry.hash.clone()),
        ])
    })
}

/// Writes the trail. The file gets its name when the manifest is in it.
async fn export(api: &dyn HiveApi, output: Output, path: &Path) -> Result<()> {
    if is_stdout(path) {
        let records = write_trail(api, output::plain).await?;
        output::aside(&format!("{records} records"));
        return Ok(());
    }
    let mut draft = Draft::create(path).map_err(Failure::file("write", path))?;
    let write = |line: &[u8]| draft.write_all(line).map_err(Failure::file("write", path));
    let records = write_trail(api, write).await?;
    draft.keep().map_err(Failure::file("write", path))?;
    let sentence = format!("{records} records are in {}", path.display());
    output.tell(&json!({ "file": path, "records": records }), &sentence)
}

/// Writes the lines of the trail; how many records they hold.
async fn write_trail(api: &dyn HiveApi, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let mut lines = api.audit().export().await?;
    let mut records = 0_u64;
    let mut is_whole = false;
    while let Some(line) = lines.next().await {
        is_whole = matches!(line, AuditExportLine::Manifest { .. });
        records += u64::from(!is_whole);
        let mut text = serde_json::to_vec(&line).map_err(|error| Failure::Output(error.into()))?;
        text.push(b'\n');
        write(&text)?;
    }
    if !is_whole {
        return Err(Error::Unavailable("the export broke off before its manifest".into()).into());
    }
    Ok(records)
}

fn report(output: Output, verification: &AuditVerification) -> Result<u8> {
    output.tell(verification, &findings(verification))?;
    Ok(u8::from(!verification.valid))
}

fn verify_file(path: &Path, public_key: Option<&str>) -> Result<AuditVerification> {
    let file = File::open(path).map_err(Failure::file("read", path))?;
    verify_export(BufReader::new(file), public_key).map_err(|error| match error {
        ExportError::Read(error) => Failure::file("read", path)(error),
        other => Failure::usage(format!("{}: {other}", path.display())),
    })
}

fn findings(verification: &AuditVerification) -> String {
    let verdict = if verification.valid { "nothing is wrong" } else { "tampered with" };
    let mut lines = vec![format!("{} records, {verdict}", verification.records)];
    lines.extend(verification.public_key.iter().map(|key| format!("signed by {key}")));
    lines.extend(verification.faults.iter().map(|fault| format!("- {}", described(fault))));
    lines.join("\n")
}

fn described(fault: &ChainFault) -> String {
    match fault {
        ChainFault::Changed { seq } => format!("record {seq} was changed"),
        ChainFault::Removed { first, last } if first == last => format!("record {first} was removed"),
        ChainFault::Removed { first, last } => format!("records {first} to {last} were removed"),
        ChainFault::Reordered { seq } => format!("record {seq} was moved"),
        ChainFault::Inserted { seq } => format!("a record was slipped in as {seq}"),
        ChainFault::TailCut { last_seq, expected } => {
            format!("the end was cut off: {last_seq} is last, {expected} should be")
        }
        ChainFault::ManifestMissing => "there is no manifest, so a cut end cannot be seen".into(),
        ChainFault::ManifestForged => "the manifest was not signed by the key".into(),
        ChainFault::Unreadable { line } => format!("line {line} is no record"),
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
