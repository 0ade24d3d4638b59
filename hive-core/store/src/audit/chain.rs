//! The hash chain: seals records into it, and finds what was done to one.
//!
//! `hash = SHA-256(previous_hash in hex ‖ the record's text)`. The text is JSON with sorted keys of everything but the two
//! hashes, the place included; what is stored and exported is that text itself, so that no later program has to write it
//! the same way again. Pure: the store and the export feed lines in.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use hive_wire::api::{AuditEntry, AuditManifest, AuditVerification, ChainFault};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{AuditDraft, AuditLine};

/// What the first record names as the hash before it.
pub const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Faults that are told one by one. A chain with more is not looked at any further: it is no chain.
const MAX_FAULTS: usize = 1000;

/// Gives a record its place in the chain: the entry, and its canonical text.
pub fn seal(draft: AuditDraft, seq: u64, previous_hash: &str) -> (AuditEntry, String) {
    let mut entry = AuditEntry {
        seq,
        id: draft.id,
        timestamp: draft.timestamp,
        actor: draft.actor,
        action: draft.action.to_owned(),
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

/// Reads a stored record.
pub fn entry(line: &AuditLine) -> Result<AuditEntry, serde_json::Error> {
    let mut record: serde_json::Map<String, Value> = serde_json::from_str(&line.record)?;
    record.insert("previous_hash".into(), line.previous_hash.clone().into());
    record.insert("hash".into(), line.hash.clone().into());
    serde_json::from_value(Value::Object(record))
}

fn canonical_text(entry: &AuditEntry) -> String {
    let mut value = serde_json::to_value(entry).expect("an audit entry is plain data");
    if let Value::Object(fields) = &mut value {
        fields.remove("previous_hash");
        fields.remove("hash");
    }
    // Sorted already, unless some other crate of the program turns on serde_json's `preserve_order`.
    value.sort_all_objects();
    value.to_string()
}

fn hash(previous_hash: &str, record: &str) -> String {
    HEXLOWER.encode(&Sha256::new().chain_update(previous_hash).chain_update(record).finalize())
}

/// Goes through a chain line by line, in constant memory, and names what is wrong with it.
///
/// One tampered record is one fault and no cascade: a record that is the odd one out is set aside until later lines show
/// whether it stands at the wrong place, or others are missing.
#[derive(Debug)]
pub struct Verifier {
    records: u64,
    /// The place the next record should have.
    next: u64,
    /// The hash it should name.
    tip: String,
    /// Lines that could not be read since the last record.
    holes: u64,
    /// How far the numbers of the lines are off from those in the records.
    shift: u64,
    /// A record further on than expected: either it stands too early, or those before it are missing.
    ahead: Option<Placed>,
    /// Records known to stand too early.
    early: BTreeMap<u64, Placed>,
    /// Records missing so far, by the first of each run.
    gaps: BTreeMap<u64, Gap>,
    /// The last record whose successor names another hash, and its own.
    disowned: Option<(u64, String)>,
    faults: Vec<ChainFault>,
}

#[derive(Debug)]
struct Placed {
    seq: u64,
    previous_hash: String,
    hash: String,
    is_intact: bool,
    holes: u64,
}

#[derive(Debug)]
struct Gap {
    last: u64,
    /// The hash of the record before the gap.
    left: String,
    /// The hash the record behind the gap names.
    right: String,
}

/// The part of a record's text that says its place.
#[derive(Deserialize)]
struct Place {
    seq: u64,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// A verifier that expects a whole chain, from its first record.
    pub fn new() -> Self {
        Self {
            records: 0,
            next: 1,
            tip: GENESIS_HASH.to_owned(),
            holes: 0,
            shift: 0,
            ahead: None,
            early: BTreeMap::new(),
            gaps: BTreeMap::new(),
            disowned: None,
            faults: Vec::new(),
        }
    }

    /// Looks at the next record.
    pub fn record(&mut self, line: &AuditLine) {
        self.records += 1;
        if self.has_given_up() {
            return;
        }
        let inner = serde_json::from_str::<Place>(&line.record).ok().map(|place| place.seq);
        let is_intact = inner.is_some() && hash(&line.previous_hash, &line.record) == line.hash;
        // The place inside the text is covered by the hash, the line's number is not.
        let seq = inner.filter(|_| is_intact).unwrap_or(line.seq);
        let (previous_hash, hash) = (line.previous_hash.clone(), line.hash.clone());
        if !is_intact {
            self.faults.push(ChainFault::Changed { seq });
        }
        let is_regular = self.place(Placed { seq, previous_hash, hash, is_intact, holes: self.holes });
        self.check_number(line.seq.wrapping_sub(seq), seq, is_regular);
    }

    /// Notes a fault of the line itself: one that cannot be read may have been a record.
    pub fn unreadable(&mut self, line: u64) {
        self.holes += 1;
        self.note(ChainFault::Unreadable { line });
    }

    /// Notes a fault that was found elsewhere.
    pub fn note(&mut self, fault: ChainFault) {
        if !self.has_given_up() {
            self.faults.push(fault);
        }
    }

    /// Notes a fault of a record, unless one is known already.
    pub fn note_once(&mut self, fault: ChainFault) {
        if !self.faults.iter().any(|known| place_of(known) == place_of(&fault)) {
            self.note(fault);
        }
    }

    /// Says what was found. With a manifest that is known to be genuine, a cut or forged tail shows.
    pub fn finish(mut self, manifest: Option<&AuditManifest>) -> AuditVerification {
        self.settle(manifest.map(|manifest| manifest.last_seq));
        if let Some(manifest) = manifest {
            self.compare(manifest);
        }
        self.faults.sort_by_key(place_of);
        self.faults.truncate(MAX_FAULTS);
        AuditVerification {
            valid: self.faults.is_empty(),
            records: self.records,
            head_hash: self.tip,
            public_key: None,
            faults: self.faults,
        }
    }

    fn has_given_up(&self) -> bool {
        self.faults.len() + self.early.len() + self.gaps.len() >= MAX_FAULTS
    }

    /// Finds the place of a record; whether it is the expected one.
    fn place(&mut self, here: Placed) -> bool {
        self.take_early(here.seq);
        if here.seq > self.next {
            self.jump(here);
            return false;
        }
        if here.seq < self.next {
            self.fall_back(here);
            return false;
        }
        let is_regular = self.ahead.is_none();
        if let Some(ahead) = self.ahead.take() {
            self.early.insert(ahead.seq, ahead);
        }
        if self.early.remove(&here.seq).is_some() {
            self.insert_fault(here.seq);
        }
        self.accept(here);
        is_regular
    }

    fn jump(&mut self, here: Placed) {
        match self.ahead.take() {
            None => self.ahead = Some(here),
            Some(ahead) if ahead.seq < here.seq => {
                self.open_gap(ahead);
                self.place(here);
            }
            Some(ahead) if ahead.seq == here.seq => {
                self.insert_fault(here.seq);
                self.ahead = Some(ahead);
            }
            Some(ahead) => {
                self.early.insert(ahead.seq, ahead);
                self.ahead = Some(here);
            }
        }
    }

    fn fall_back(&mut self, here: Placed) {
        let seq = here.seq;
        if self.fill_gap(&here) { self.faults.push(ChainFault::Reordered { seq }) } else { self.insert_fault(seq) }
    }

    fn accept(&mut self, here: Placed) {
        if here.previous_hash != self.tip && here.is_intact {
            // The record vouches for its own text and for the hash before it, so the one before is not the one that stood
            // there. The first has none before it.
            self.disown(here.seq.saturating_sub(1).max(1));
        }
        self.next = here.seq + 1;
        self.tip = here.hash;
        self.holes = 0;
    }

    fn disown(&mut self, seq: u64) {
        self.disowned = Some((seq, self.tip.clone()));
        self.note_once(ChainFault::Changed { seq });
    }

    /// Takes in records that stood too early, up to the one at `seq`.
    fn take_early(&mut self, seq: u64) {
        while seq > self.next
            && let Some(early) = self.early.remove(&self.next)
        {
            self.faults.push(ChainFault::Reordered { seq: early.seq });
            self.accept(early);
        }
    }

    /// Takes in a record further on: those before it are missing so far.
    fn open_gap(&mut self, behind: Placed) {
        let (first, last) = (self.next, behind.seq - 1);
        if behind.seq - first > behind.holes {
            self.gaps.insert(first, Gap { last, left: self.tip.clone(), right: behind.previous_hash.clone() });
        }
        let is_between = |seq: &u64| (first..=last).contains(seq);
        for early in self.early.extract_if(.., |seq, _| is_between(seq)).map(|(_, early)| early).collect::<Vec<_>>() {
            self.fall_back(early);
        }
        self.next = behind.seq + 1;
        self.tip = behind.hash;
        self.holes = 0;
    }

    /// Puts a late record where it was missing. False where it was not, or does not fit its neighbours.
    fn fill_gap(&mut self, here: &Placed) -> bool {
        let Some((&first, gap)) = self.gaps.range(..=here.seq).next_back() else {
            return false;
        };
        let is_missing = here.seq <= gap.last;
        let fits_left = here.seq != first || here.previous_hash == gap.left;
        let fits_right = here.seq != gap.last || here.hash == gap.right;
        if !is_missing || here.is_intact && !(fits_left && fits_right) {
            return false;
        }
        let Gap { last, left, right } = self.gaps.remove(&first).expect("the gap was just found");
        if first < here.seq {
            self.gaps.insert(first, Gap { last: here.seq - 1, left, right: here.previous_hash.clone() });
        }
        if here.seq < last {
            self.gaps.insert(here.seq + 1, Gap { last, left: here.hash.clone(), right });
        }
        true
    }

    /// A record too many. A forged one whose text does not fit its hash was first taken for a changed one.
    fn insert_fault(&mut self, seq: u64) {
        self.faults.retain(|fault| *fault != ChainFault::Changed { seq });
        self.faults.push(ChainFault::Inserted { seq });
    }

    /// Checks the number on a line against the one in its record. Lines behind an inserted or removed record may have been
    /// numbered anew: that is one fault and not one for each of them.
    fn check_number(&mut self, shift: u64, seq: u64, is_regular: bool) {
        if shift == 0 || !is_regular {
            self.shift = shift;
        } else if shift != self.shift {
            self.faults.push(ChainFault::Changed { seq });
        }
    }

    /// Decides what later lines could still have decided otherwise.
    fn settle(&mut self, last_seq: Option<u64>) {
        match self.ahead.take() {
            Some(ahead) if last_seq.is_some_and(|last| ahead.seq > last) => self.insert_fault(ahead.seq),
            Some(ahead) => self.open_gap(ahead),
            None => {}
        }
        self.take_early(u64::MAX);
        for seq in std::mem::take(&mut self.early).into_keys() {
            self.insert_fault(seq);
        }
        for (first, gap) in std::mem::take(&mut self.gaps) {
            self.faults.push(ChainFault::Removed { first, last: gap.last });
        }
    }

    fn compare(&mut self, manifest: &AuditManifest) {
        let (last_seq, expected) = (self.next - 1, manifest.last_seq);
        if last_seq < expected {
            self.faults.push(ChainFault::TailCut { last_seq, expected });
        } else if last_seq == expected && self.tip != manifest.head_hash {
            self.disown(last_seq.max(1));
        } else if last_seq > expected {
            // What was appended may name any hash: that is no fault of the genuine last record.
            if self.disowned.take_if(|(seq, hash)| *seq == expected && *hash == manifest.head_hash).is_some() {
                self.faults.retain(|fault| *fault != ChainFault::Changed { seq: expected });
            }
            (expected + 1..=last_seq).take(MAX_FAULTS).for_each(|seq| self.insert_fault(seq));
        }
    }
}

fn place_of(fault: &ChainFault) -> u64 {
    match fault {
        ChainFault::Changed { seq } | ChainFault::Reordered { seq } | ChainFault::Inserted { seq } => *seq,
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
