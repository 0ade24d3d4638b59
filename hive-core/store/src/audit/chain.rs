//! The hash chain of the audit log: appends records, and detects tampering.
//!
//! `hash = SHA-256(previous_hash in hex ‖ text of the record)`. The text is JSON with sorted keys. It has all fields of the
//! record but the two hashes, and includes the sequence number. This text is what is stored and exported, so that a later
//! program need not reproduce it byte for byte. There is no I/O here: the store and the export pass records in.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use hive_wire::api::{AuditEntry, AuditManifest, AuditVerification, ChainFault};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::checkpoint::{AuditCheckpoint, CheckpointRecord};
use super::{AuditDraft, AuditRecord};

/// The previous hash of the first record.
pub const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The most faults that are reported. Verification of a chain with more ends there, so that memory is bounded.
const MAX_FAULTS: usize = 1000;
/// The most checkpoints that are kept. With more, those that cover least are dropped: a log begins at its last one.
const MAX_CHECKPOINTS: usize = 1000;

/// Makes the entry that follows `previous_hash` in the chain. Returns it with its canonical text.
pub fn seal(draft: AuditDraft, seq: u64, previous_hash: &str) -> (AuditEntry, String) {
    let mut entry = AuditEntry {
        seq,
        id: draft.id,
        timestamp: draft.timestamp,
        actor: draft.actor,
        action: draft.action.as_str().to_owned(),
        target: draft.target,
        team_id: draft.team_id,
        details: draft.details,
        result: draft.result,
        error: draft.error,
        previous_hash: previous_hash.to_owned(),
        hash: String::new(),
    };
    let record = canonical_text(&entry);
    entry.hash = hash(previous_hash, &record);
    (entry, record)
}

/// Whether a stored record is intact, has this number, and follows the record with this hash.
pub fn is_next(stored: &AuditRecord, seq: u64, previous_hash: &str) -> bool {
    let inner = serde_json::from_str::<RecordSeq>(&stored.record).ok().map(|text| text.seq);
    let is_intact = hash(&stored.previous_hash, &stored.record) == stored.hash;
    is_intact && inner == Some(seq) && stored.seq == seq && stored.previous_hash == previous_hash
}

/// Parses a stored record.
pub fn parse(stored: &AuditRecord) -> Result<AuditEntry, serde_json::Error> {
    let mut record: serde_json::Map<String, Value> = serde_json::from_str(&stored.record)?;
    record.insert("previous_hash".into(), stored.previous_hash.clone().into());
    record.insert("hash".into(), stored.hash.clone().into());
    serde_json::from_value(Value::Object(record))
}

fn canonical_text(entry: &AuditEntry) -> String {
    let mut value = serde_json::to_value(entry).expect("an audit entry is plain data");
    if let Value::Object(fields) = &mut value {
        fields.remove("previous_hash");
        fields.remove("hash");
    }
    // They are sorted already, unless another crate of the program enables `preserve_order` of serde_json.
    value.sort_all_objects();
    value.to_string()
}

fn hash(previous_hash: &str, record: &str) -> String {
    HEXLOWER.encode(&Sha256::new().chain_update(previous_hash).chain_update(record).finalize())
}

/// Verifies a chain record by record, in constant memory.
///
/// One tampered record is reported as one fault. A record with an unexpected number is therefore kept until later records show
/// whether it was moved, or whether others are missing.
#[derive(Debug)]
pub struct ChainVerifier {
    records: u64,
    /// The expected sequence number of the next record.
    next: u64,
    /// The expected previous hash of the next record.
    last_hash: String,
    /// The number of unreadable records since the last readable one.
    unreadable: u64,
    /// The difference between the stored number of a record and the number in its text, for the last records.
    number_offset: u64,
    /// A record with a higher number than expected: it was moved forward, or those before it are missing.
    ahead: Option<RecordPosition>,
    /// Records that are known to come too early.
    early: BTreeMap<u64, RecordPosition>,
    /// Ranges of missing records, by their first number.
    gaps: BTreeMap<u64, Gap>,
    /// The last record whose successor has another previous hash, with its own hash.
    disputed: Option<(u64, String)>,
    /// The hash of the last deleted record, by its number and the key that signed the checkpoint.
    checkpoints: BTreeMap<(u64, String), String>,
    /// The key that checkpoints must be signed with. `None` for any key.
    trusted_key: Option<String>,
    faults: Vec<ChainFault>,
}

#[derive(Debug)]
struct RecordPosition {
    seq: u64,
    previous_hash: String,
    hash: String,
    is_intact: bool,
    unreadable: u64,
}

#[derive(Debug)]
struct Gap {
    last: u64,
    /// The hash of the record before the gap.
    left: String,
    /// The previous hash of the record after the gap. `None` if that record was changed.
    right: Option<String>,
}

/// The part of a record's text that has its sequence number.
#[derive(Deserialize)]
struct RecordSeq {
    seq: u64,
}

impl Default for ChainVerifier {
    fn default() -> Self {
        Self::new()
    }
}

impl ChainVerifier {
    /// A verifier of a whole chain from its first record.
    pub fn new() -> Self {
        Self {
            records: 0,
            next: 1,
            last_hash: GENESIS_HASH.to_owned(),
            unreadable: 0,
            number_offset: 0,
            ahead: None,
            early: BTreeMap::new(),
            gaps: BTreeMap::new(),
            disputed: None,
            checkpoints: BTreeMap::new(),
            trusted_key: None,
            faults: Vec::new(),
        }
    }

    /// Accepts only checkpoints that are signed with this public key, in base64. Without it, the key of the manifest counts,
    /// and without a manifest any key, which detects accidents and no forgery.
    pub fn trust(&mut self, public_key: &str) {
        self.trusted_key = Some(public_key.trim().to_owned());
    }

    /// Adds the next record.
    pub fn add(&mut self, stored: &AuditRecord) {
        self.records += 1;
        // The record is counted and not verified.
        if self.has_too_many_faults() {
            return;
        }
        let inner = serde_json::from_str::<RecordSeq>(&stored.record).ok().map(|text| text.seq);
        let is_intact = inner.is_some() && hash(&stored.previous_hash, &stored.record) == stored.hash;
        // The number in the text is covered by the hash, the stored number is not.
        let seq = inner.filter(|_| is_intact).unwrap_or(stored.seq);
        let (previous_hash, hash) = (stored.previous_hash.clone(), stored.hash.clone());
        if is_intact {
            self.read_checkpoint(stored, seq);
        } else {
            self.faults.push(ChainFault::Changed { seq });
        }
        let is_regular =
            self.locate(RecordPosition { seq, previous_hash, hash, is_intact, unreadable: self.unreadable });
        self.check_number(stored.seq.wrapping_sub(seq), seq, is_regular);
    }

    /// Adds a line that cannot be read. It may have been a record.
    pub fn add_unreadable(&mut self, line: u64) {
        self.unreadable += 1;
        self.note(ChainFault::Unreadable { line });
    }

    /// Adds a fault that the caller found.
    pub fn note(&mut self, fault: ChainFault) {
        if !self.has_too_many_faults() {
            self.faults.push(fault);
        }
    }

    /// Adds a fault of a record, unless it has one already.
    pub fn note_once(&mut self, fault: ChainFault) {
        if !self.faults.iter().any(|known| first_seq(known) == first_seq(&fault)) {
            self.note(fault);
        }
    }

    /// Returns the result. A genuine manifest is needed to detect a removed or forged tail.
    pub fn finish(mut self, manifest: Option<&AuditManifest>) -> AuditVerification {
        let trusted_key = self.trusted_key.take().or_else(|| manifest.map(|manifest| manifest.public_key.clone()));
        self.checkpoints.retain(|(_, key), _| trusted_key.as_ref().is_none_or(|trusted| trusted == key));
        self.settle_pending(manifest);
        if let Some(manifest) = manifest {
            self.compare_with(manifest);
        }
        self.faults.sort_by_key(first_seq);
        self.faults.truncate(MAX_FAULTS);
        AuditVerification {
            valid: self.faults.is_empty(),
            records: self.records,
            head_hash: self.last_hash,
            public_key: None,
            faults: self.faults,
        }
    }

    fn read_checkpoint(&mut self, stored: &AuditRecord, seq: u64) {
        match CheckpointRecord::read(stored) {
            CheckpointRecord::None => {}
            CheckpointRecord::Signed(AuditCheckpoint { last_seq, last_hash, public_key, .. }) => {
                self.checkpoints.insert((last_seq, public_key), last_hash);
                if self.checkpoints.len() > MAX_CHECKPOINTS {
                    self.checkpoints.pop_first();
                }
            }
            CheckpointRecord::Forged => self.faults.push(ChainFault::CheckpointForged { seq }),
        }
    }

    fn has_too_many_faults(&self) -> bool {
        self.faults.len() + self.early.len() + self.gaps.len() >= MAX_FAULTS
    }

    /// Puts a record at its position. Returns whether that was the expected one.
    fn locate(&mut self, here: RecordPosition) -> bool {
        self.append_early(here.seq);
        if here.seq > self.next {
            self.skip_ahead(here);
            return false;
        }
        if here.seq < self.next {
            self.handle_late(here);
            return false;
        }
        let is_regular = self.ahead.is_none();
        // The expected record came after all: the one ahead of it was moved forward.
        if let Some(ahead) = self.ahead.take() {
            self.early.insert(ahead.seq, ahead);
        }
        if self.early.remove(&here.seq).is_some() {
            self.report_inserted(here.seq);
        }
        self.append(here);
        is_regular
    }

    fn skip_ahead(&mut self, here: RecordPosition) {
        match self.ahead.take() {
            None => self.ahead = Some(here),
            Some(ahead) if ahead.seq < here.seq => {
                self.open_gap(ahead);
                self.locate(here);
            }
            // Two records with one number: the second one was inserted.
            Some(ahead) if ahead.seq == here.seq => {
                self.report_inserted(here.seq);
                self.ahead = Some(ahead);
            }
            Some(ahead) => {
                self.early.insert(ahead.seq, ahead);
                self.ahead = Some(here);
            }
        }
    }

    fn handle_late(&mut self, here: RecordPosition) {
        let seq = here.seq;
        if self.fill_gap(&here) { self.faults.push(ChainFault::Reordered { seq }) } else { self.report_inserted(seq) }
    }

    fn append(&mut self, here: RecordPosition) {
        if here.previous_hash != self.last_hash && here.is_intact {
            // The hash covers the record's text and its previous hash. If they disagree, the record before is not the original one.
            // The first record has none before it.
            self.mark_changed(here.seq.saturating_sub(1).max(1));
        }
        self.next = here.seq + 1;
        self.last_hash = here.hash;
        self.unreadable = 0;
    }

    fn mark_changed(&mut self, seq: u64) {
        self.disputed = Some((seq, self.last_hash.clone()));
        self.note_once(ChainFault::Changed { seq });
    }

    /// Appends the records that came too early, up to number `seq`.
    fn append_early(&mut self, seq: u64) {
        while seq > self.next
            && let Some(early) = self.early.remove(&self.next)
        {
            self.faults.push(ChainFault::Reordered { seq: early.seq });
            self.append(early);
        }
    }

    /// Appends a record with a higher number than expected, and opens a gap before it.
    fn open_gap(&mut self, behind: RecordPosition) {
        let (first, last) = (self.next, behind.seq - 1);
        // Unreadable lines may be the missing records. They are reported already.
        if behind.seq - first > behind.unreadable {
            let right = behind.is_intact.then(|| behind.previous_hash.clone());
            self.gaps.insert(first, Gap { last, left: self.last_hash.clone(), right });
        }
        let is_between = |seq: &u64| (first..=last).contains(seq);
        for early in self.early.extract_if(.., |seq, _| is_between(seq)).map(|(_, early)| early).collect::<Vec<_>>() {
            self.handle_late(early);
        }
        self.next = behind.seq + 1;
        self.last_hash = behind.hash;
        self.unreadable = 0;
    }

    /// Puts a late record into its gap. False if there is none, or if it does not fit its neighbours.
    fn fill_gap(&mut self, here: &RecordPosition) -> bool {
        let Some((&first, gap)) = self.gaps.range(..=here.seq).next_back() else {
            return false;
        };
        let is_missing = here.seq <= gap.last;
        // A record at the edge of a gap must fit the hash on that side.
        let fits_left = here.seq != first || here.previous_hash == gap.left;
        let fits_right = here.seq != gap.last || gap.right.as_ref().is_none_or(|right| here.hash == *right);
        if !is_missing || here.is_intact && !(fits_left && fits_right) {
            return false;
        }
        let Gap { last, left, right } = self.gaps.remove(&first).expect("the gap was just found");
        if first < here.seq {
            self.gaps.insert(first, Gap { last: here.seq - 1, left, right: Some(here.previous_hash.clone()) });
        }
        if here.seq < last {
            self.gaps.insert(here.seq + 1, Gap { last, left: here.hash.clone(), right });
        }
        true
    }

    /// Reports an inserted record. If its text does not fit its hash, it was reported as changed before.
    fn report_inserted(&mut self, seq: u64) {
        self.faults.retain(|fault| *fault != ChainFault::Changed { seq });
        self.faults.push(ChainFault::Inserted { seq });
    }

    /// Checks the stored number of a record against the number in its text. After an insertion or a removal the rest may have
    /// been renumbered, which is one fault and not one for each record.
    fn check_number(&mut self, offset: u64, seq: u64, is_regular: bool) {
        if offset == 0 || !is_regular {
            self.number_offset = offset;
        } else if offset != self.number_offset {
            self.faults.push(ChainFault::Changed { seq });
        }
    }

    /// Decides about the records that were kept, after the last record.
    fn settle_pending(&mut self, manifest: Option<&AuditManifest>) {
        let last_seq = manifest.map(|manifest| manifest.last_seq);
        match self.ahead.take() {
            // Beyond the end that the manifest names, it was added later.
            Some(ahead) if last_seq.is_some_and(|last| ahead.seq > last) => self.report_inserted(ahead.seq),
            Some(ahead) => self.open_gap(ahead),
            None => {}
        }
        self.append_early(u64::MAX);
        for seq in std::mem::take(&mut self.early).into_keys() {
            self.report_inserted(seq);
        }
        for (first, gap) in std::mem::take(&mut self.gaps) {
            let first = self.first_removed(first, &gap, manifest);
            if first <= gap.last {
                self.faults.push(ChainFault::Removed { first, last: gap.last });
            }
        }
    }

    /// Returns the first missing record of a gap that no checkpoint covers.
    fn first_removed(&self, first: u64, gap: &Gap, manifest: Option<&AuditManifest>) -> u64 {
        // A log may be pruned while it is read, so that a gap may be behind its first records. An export with a manifest has
        // no such gap.
        if manifest.is_some() && first > 1 {
            return first;
        }
        let mut first_removed = first;
        for ((last_seq, _), last_hash) in self.checkpoints.range(..=(gap.last, String::from(char::MAX))) {
            let is_of_other_log = *last_seq == gap.last && gap.right.as_ref().is_some_and(|right| right != last_hash);
            if !is_of_other_log {
                first_removed = first_removed.max(last_seq + 1);
            }
        }
        // What the manifest names was in the file when it was signed.
        manifest
            .filter(|manifest| manifest.first_seq > 0)
            .map_or(first_removed, |manifest| first_removed.min(manifest.first_seq.max(first)))
    }

    fn compare_with(&mut self, manifest: &AuditManifest) {
        let (last_seq, expected) = (self.next - 1, manifest.last_seq);
        if last_seq < expected {
            self.faults.push(ChainFault::TailCut { last_seq, expected });
        } else if last_seq == expected && self.last_hash != manifest.head_hash {
            self.mark_changed(last_seq.max(1));
        } else if last_seq > expected {
            // A forged record after the end may have any previous hash. The genuine last record is not at fault.
            if self.disputed.take_if(|(seq, hash)| *seq == expected && *hash == manifest.head_hash).is_some() {
                self.faults.retain(|fault| *fault != ChainFault::Changed { seq: expected });
            }
            (expected + 1..=last_seq).take(MAX_FAULTS).for_each(|seq| self.report_inserted(seq));
        }
    }
}

fn first_seq(fault: &ChainFault) -> u64 {
    match fault {
        ChainFault::Changed { seq }
        | ChainFault::Reordered { seq }
        | ChainFault::Inserted { seq }
        | ChainFault::CheckpointForged { seq } => *seq,
        ChainFault::Removed { first, .. } => *first,
        ChainFault::TailCut { .. }
        | ChainFault::ManifestMissing
        | ChainFault::ManifestForged
        | ChainFault::Unreadable { .. }
        | ChainFault::Unknown(_) => u64::MAX,
    }
}

#[cfg(test)]
mod tests;
