//! Deletes old records of the audit log, each time behind a signed checkpoint.
//!
//! Records are verified before they are deleted, and nothing is signed that does not fit: a log from which records were removed
//! without a checkpoint is not pruned, so that the fault can still be found.

use std::time::Duration;

use hive_wire::Timestamp;
use hive_wire::api::AuditQuery;

use super::draft::{Subject, system_record};
use super::service::AuditLog;
use crate::access::VisibleScope;
use crate::audit::chain::{self, GENESIS_HASH};
use crate::audit::{AuditAction, AuditSigner};
use crate::clock::ClockAndRng;
use crate::store::audit::{AuditCheckpoint, AuditRecord};
use crate::store::{AuditRange, RowRange, Store};
use crate::{Error, Result};

/// Records that are deleted in one transaction.
const BATCH: u32 = 500;
/// A batch that is not full waits until its first record is this much older than it must be. A hive with few records then has a
/// checkpoint a day, and not one for each look.
const PATIENCE: Duration = Duration::from_hours(24);
/// Checkpoints that are looked at, the newest first. A log begins at its last one.
const NEWEST: u32 = 20;

impl AuditLog {
    /// Deletes the first records if they are older than `before`, up to a batch. Returns how many: 0 if there is nothing to do.
    ///
    /// # Errors
    /// `Corrupt` if the log does not begin at record 1 or at a checkpoint of this hive, or a record was changed.
    pub(crate) async fn prune_batch(&self, before: Timestamp) -> Result<u64> {
        // An export reads the log in pages, and has no gaps. It is the next turn's.
        let Ok(_no_export) = self.exports.try_write() else {
            return Ok(0);
        };
        let records = self.store.audit_records(0, BATCH).await?;
        let Some(count) = count_old(&records, before, self.context.steady()) else {
            return Ok(0);
        };
        let old = &records[..count];
        let first_seq = old[0].seq;
        let mut last_hash = self.hash_before(first_seq).await?;
        for (record, seq) in old.iter().zip(first_seq..) {
            if !chain::is_next(record, seq, &last_hash) {
                return Err(damaged(seq));
            }
            last_hash.clone_from(&record.hash);
        }
        let range = AuditRange { first_seq, last_seq: first_seq + count as u64 - 1, last_hash };
        let checkpoint = checkpoint_record(&self.keys.audit, self.context.source(), range.last_seq, &range.last_hash);
        // False: another process has pruned meanwhile.
        let is_pruned = self.store.audit_prune(range, checkpoint).await?;
        Ok(if is_pruned { count as u64 } else { 0 })
    }

    /// The hash of the record before the first one that is stored.
    async fn hash_before(&self, first_seq: u64) -> Result<String> {
        if first_seq == 1 {
            return Ok(GENESIS_HASH.to_owned());
        }
        let checkpoints = newest_checkpoints(self.store.as_ref(), &self.keys.audit.public_key()).await?;
        let found = checkpoints.into_iter().find(|checkpoint| checkpoint.last_seq + 1 == first_seq);
        found.map(|checkpoint| checkpoint.last_hash).ok_or_else(|| damaged(first_seq))
    }
}

/// Returns how many of the first records may be deleted now; `None` for none.
///
/// Records are in the order in which they were written. One that seems to be from the future was written by a wrong clock, and
/// is as old as those around it. One that seems to be old, behind one that is not, has to wait for that one.
fn count_old(records: &[AuditRecord], before: Timestamp, now: Timestamp) -> Option<usize> {
    let mut count = 0;
    let mut oldest = None;
    for (index, record) in records.iter().enumerate() {
        let Ok(entry) = chain::parse(record) else { break };
        if entry.timestamp < before {
            count = index + 1;
            oldest = Some(oldest.map_or(entry.timestamp, |oldest: Timestamp| oldest.min(entry.timestamp)));
        } else if entry.timestamp <= now {
            break;
        }
    }
    let is_due = count == BATCH as usize || oldest.is_some_and(|oldest| oldest < before.minus(PATIENCE));
    (count > 0 && is_due).then_some(count)
}

fn damaged(seq: u64) -> Error {
    Error::Corrupt(
        format!("the audit log is not pruned, because record {seq} does not follow; see hive audit verify").into(),
    )
}

fn checkpoint_record(
    signer: &AuditSigner,
    source: &ClockAndRng,
    last_seq: u64,
    last_hash: &str,
) -> crate::audit::AuditDraft {
    let details = AuditCheckpoint::sign(signer, last_seq, last_hash);
    system_record(source, AuditAction::AuditCheckpoint, Subject::new("all"), details)
}

/// Returns the newest checkpoints that are signed with this key.
pub(super) async fn newest_checkpoints(store: &dyn Store, public_key: &str) -> Result<Vec<AuditCheckpoint>> {
    let action = Some(AuditAction::AuditCheckpoint.as_str().to_owned());
    let query = AuditQuery { action, ..AuditQuery::default() };
    let (entries, _) = store.audit_list(&query, &VisibleScope::ALL, RowRange::part(0, NEWEST)).await?;
    let checkpoints = entries.iter().filter_map(|entry| AuditCheckpoint::verified(&entry.details));
    Ok(checkpoints.filter(|checkpoint| checkpoint.public_key == public_key).collect())
}

/// Signs the beginning of a pruned log with this key, because an operator has accepted it in place of the one that signed the
/// checkpoint.
pub(crate) async fn sign_beginning_again(store: &dyn Store, signer: &AuditSigner, source: &ClockAndRng) -> Result<()> {
    let Some(first) = store.audit_records(0, 1).await?.pop().filter(|first| first.seq > 1) else {
        return Ok(());
    };
    let last_seq = first.seq - 1;
    let signed = newest_checkpoints(store, &signer.public_key()).await?;
    if signed.iter().any(|checkpoint| checkpoint.last_seq == last_seq) {
        return Ok(());
    }
    store.audit_append(checkpoint_record(signer, source, last_seq, &first.previous_hash)).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
