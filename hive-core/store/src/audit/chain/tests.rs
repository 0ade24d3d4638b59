use hive_wire::api::{Actor, AuditResult, AuditTarget};
use hive_wire::id::Seed;
use hive_wire::{AuditId, Timestamp};
use serde_json::json;

use super::ChainFault::{Changed, CheckpointForged, Inserted, Removed, Reordered, TailCut, Unreadable};
use super::*;
use crate::audit::{AuditAction, AuditSigner};
use crate::fixture::signer;

fn draft(n: u64) -> AuditDraft {
    AuditDraft {
        id: AuditId::new(Seed { unix_millis: n, random: [n as u8; 10] }),
        timestamp: Timestamp::from_micros(n as i64 * 1_000_000),
        actor: Actor { kind: "user".into(), id: "usr_1".into(), name: "anna".into(), ip: None },
        action: AuditAction::SatelliteExec,
        target: AuditTarget { kind: "satellite".into(), id: "sat_1".into() },
        team_id: None,
        details: json!({ "z": 1, "a": { "y": n, "b": null } }),
        result: AuditResult::Success,
        error: None,
    }
}

fn sealed(n: u64, seq: u64, previous_hash: &str) -> AuditRecord {
    let (entry, record) = seal(draft(n), seq, previous_hash);
    AuditRecord { seq, record, previous_hash: entry.previous_hash, hash: entry.hash }
}

fn chain_of(length: u64) -> Vec<AuditRecord> {
    let mut previous_hash = GENESIS_HASH.to_owned();
    (1..=length)
        .map(|seq| {
            let line = sealed(seq, seq, &previous_hash);
            previous_hash.clone_from(&line.hash);
            line
        })
        .collect()
}

fn manifest(lines: &[AuditRecord]) -> AuditManifest {
    let last = lines.last();
    AuditManifest {
        version: 1,
        first_seq: lines.first().map_or(0, |line| line.seq),
        last_seq: last.map_or(0, |line| line.seq),
        head_hash: last.map_or(GENESIS_HASH, |line| &line.hash).to_owned(),
        exported_at: Timestamp::from_micros(0),
        public_key: String::new(),
    }
}

fn verify(lines: &[AuditRecord], manifest: Option<&AuditManifest>) -> Vec<ChainFault> {
    let mut verifier = ChainVerifier::new();
    for line in lines {
        verifier.add(line);
    }
    let verification = verifier.finish(manifest);
    assert_eq!(verification.valid, verification.faults.is_empty());
    assert_eq!(verification.records, lines.len() as u64);
    verification.faults
}

/// Tampers with a chain of ten and checks what is found, with and without its manifest.
fn check(tamper: impl FnOnce(&mut Vec<AuditRecord>), expected: &[ChainFault]) {
    let mut lines = chain_of(10);
    let manifest = manifest(&lines);
    tamper(&mut lines);
    assert_eq!(verify(&lines, Some(&manifest)), expected, "with the manifest");
    assert_eq!(verify(&lines, None), expected, "without a manifest");
}

/// Like [`check`], for what only the manifest shows.
fn check_by_manifest(tamper: impl FnOnce(&mut Vec<AuditRecord>), expected: &[ChainFault]) {
    let mut lines = chain_of(10);
    let manifest = manifest(&lines);
    tamper(&mut lines);
    assert_eq!(verify(&lines, Some(&manifest)), expected);
}

fn change(line: &mut AuditRecord) {
    line.record = line.record.replace("anna", "eve!");
}

fn change_and_hash(line: &mut AuditRecord) {
    change(line);
    line.hash = hash(&line.previous_hash, &line.record);
}

fn forged(seq: u64, previous_hash: &str) -> AuditRecord {
    sealed(99, seq, previous_hash)
}

#[test]
fn a_whole_chain_has_no_faults() {
    check(|_| {}, &[]);
    for length in 0..4 {
        let lines = chain_of(length);
        assert_eq!(verify(&lines, Some(&manifest(&lines))), []);
    }
}

#[test]
fn the_head_of_an_empty_chain_is_64_zeros() {
    assert_eq!(ChainVerifier::new().finish(None).head_hash, "0".repeat(64));
}

#[test]
fn the_canonical_text_has_sorted_keys_and_no_hashes() {
    let line = sealed(1, 7, GENESIS_HASH);
    assert_eq!(
        line.record,
        r#"{"action":"satellite.exec","actor":{"id":"usr_1","name":"anna","type":"user"},"details":{"a":{"b":null,"y":1},"z":1},"id":"aud_00000000001w0g40820820g20820","result":"success","seq":7,"target":{"id":"sat_1","type":"satellite"},"timestamp":"1970-01-01T00:00:01.000000Z"}"#
            .replace("aud_00000000001w0g40820820g20820", &draft(1).id.to_string())
    );
}

#[test]
fn an_entry_reads_back_as_it_was_sealed() {
    let (sealed, record) = seal(draft(3), 5, GENESIS_HASH);
    let line = AuditRecord { seq: 5, record, previous_hash: sealed.previous_hash.clone(), hash: sealed.hash.clone() };
    assert_eq!(parse(&line).unwrap(), sealed);
}

#[test]
fn a_changed_record_is_found_and_nothing_else() {
    for seq in 1..=10u64 {
        let at = seq as usize - 1;
        check(|lines| change(&mut lines[at]), &[Changed { seq }]);
        check(|lines| lines[at].record = "garbage".into(), &[Changed { seq }]);
        check(|lines| lines[at].hash = hash("", ""), &[Changed { seq }]);
        check(|lines| lines[at].previous_hash = hash("", ""), &[Changed { seq }]);
        check(|lines| lines[at].seq += 1, &[Changed { seq }]);
        check(|lines| lines[at].seq = 0, &[Changed { seq }]);
        check_by_manifest(|lines| change_and_hash(&mut lines[at]), &[Changed { seq }]);
    }
}

#[test]
fn two_changed_records_are_two_faults() {
    check(|lines| (2..4).for_each(|at| change(&mut lines[at])), &[Changed { seq: 3 }, Changed { seq: 4 }]);
    check(
        |lines| [0, 7].into_iter().for_each(|at| change_and_hash(&mut lines[at])),
        &[Changed { seq: 1 }, Changed { seq: 8 }],
    );
}

#[test]
fn a_chain_forged_to_its_end_shows_by_the_manifest() {
    let forge = |lines: &mut Vec<AuditRecord>| {
        change_and_hash(&mut lines[4]);
        for at in 5..10 {
            lines[at].previous_hash = lines[at - 1].hash.clone();
            lines[at].hash = hash(&lines[at].previous_hash, &lines[at].record);
        }
    };
    check_by_manifest(forge, &[Changed { seq: 10 }]);
}

#[test]
fn removed_records_are_found_as_one_range() {
    for first in 1..=9u64 {
        for last in first..=9 {
            let range = first as usize - 1..last as usize;
            check(|lines| drop(lines.drain(range.clone())), &[Removed { first, last }]);
        }
    }
}

#[test]
fn two_removed_ranges_are_two_faults() {
    let remove = |lines: &mut Vec<AuditRecord>| lines.retain(|line| ![2, 5, 6, 8].contains(&line.seq));
    check(remove, &[Removed { first: 2, last: 2 }, Removed { first: 5, last: 6 }, Removed { first: 8, last: 8 }]);
}

#[test]
fn a_removed_record_is_found_although_the_rest_was_numbered_anew() {
    let renumber = |lines: &mut Vec<AuditRecord>| {
        lines.remove(3);
        lines.iter_mut().zip(1..).for_each(|(line, seq)| line.seq = seq);
    };
    check(renumber, &[Removed { first: 4, last: 4 }]);
}

#[test]
fn a_cut_tail_shows_by_the_manifest() {
    for kept in 0..10u64 {
        check_by_manifest(|lines| lines.truncate(kept as usize), &[TailCut { last_seq: kept, expected: 10 }]);
    }
}

#[test]
fn swapped_neighbours_are_one_fault() {
    for at in 0..9 {
        check(|lines| lines.swap(at, at + 1), &[Reordered { seq: at as u64 + 2 }]);
    }
}

#[test]
fn swapped_records_are_two_faults_and_no_cascade() {
    for one in 0..10u64 {
        // Three in reverse order are as well explained by the middle one having moved.
        for other in one + 2..10 {
            let first = if other == one + 2 { one + 2 } else { one + 1 };
            let swap = |lines: &mut Vec<AuditRecord>| lines.swap(one as usize, other as usize);
            check(swap, &[Reordered { seq: first }, Reordered { seq: other + 1 }]);
        }
    }
}

#[test]
fn records_that_took_each_others_number_are_reordered() {
    let swap_numbers = |lines: &mut Vec<AuditRecord>| {
        lines.swap(3, 4);
        (lines[3].seq, lines[4].seq) = (4, 5);
    };
    check(swap_numbers, &[Reordered { seq: 5 }]);
}

#[test]
fn a_record_that_was_moved_is_one_fault() {
    for from in 0..10usize {
        for to in (0..10usize).filter(|to| to.abs_diff(from) > 1) {
            let moved = |lines: &mut Vec<AuditRecord>| {
                let line = lines.remove(from);
                lines.insert(to, line);
            };
            check(moved, &[Reordered { seq: from as u64 + 1 }]);
        }
    }
}

#[test]
fn an_inserted_record_is_found_whatever_it_claims() {
    for at in 1..10usize {
        let next = at as u64 + 1;
        let previous = |lines: &[AuditRecord]| lines[at - 1].hash.clone();
        // It claims the place of the one behind it, and fits the one before.
        check(|lines| lines.insert(at, forged(next, &previous(lines))), &[Inserted { seq: next }]);
        // It claims the place of the one before it.
        check(|lines| lines.insert(at, forged(next - 1, &previous(lines))), &[Inserted { seq: next - 1 }]);
        // Its hash is made up.
        let unhashed = |lines: &[AuditRecord]| AuditRecord { hash: "00".into(), ..forged(next, &previous(lines)) };
        check(|lines| lines.insert(at, unhashed(lines)), &[Inserted { seq: next }]);
        // It claims a place far behind the end, or none.
        check(|lines| lines.insert(at, forged(1_000, GENESIS_HASH)), &[Inserted { seq: 1_000 }]);
        check(|lines| lines.insert(at, forged(0, GENESIS_HASH)), &[Inserted { seq: 0 }]);
        // A record stands there twice.
        check(|lines| lines.insert(at, lines[at].clone()), &[Inserted { seq: next }]);
    }
}

#[test]
fn an_inserted_record_is_found_although_the_rest_was_numbered_anew() {
    let insert = |lines: &mut Vec<AuditRecord>| {
        lines.insert(4, forged(5, &lines[3].hash.clone()));
        lines.iter_mut().zip(1..).for_each(|(line, seq)| line.seq = seq);
    };
    check(insert, &[Inserted { seq: 5 }]);
}

#[test]
fn appended_records_show_by_the_manifest() {
    check_by_manifest(|lines| lines.push(forged(11, &lines[9].hash.clone())), &[Inserted { seq: 11 }]);
    check_by_manifest(|lines| lines.push(forged(11, GENESIS_HASH)), &[Inserted { seq: 11 }]);
    check_by_manifest(|lines| lines.push(forged(15, GENESIS_HASH)), &[Inserted { seq: 15 }]);
}

#[test]
fn a_record_replaced_and_moved_is_no_genuine_one() {
    let replace = |lines: &mut Vec<AuditRecord>| {
        lines.remove(4);
        lines.insert(7, forged(5, &lines[3].hash.clone()));
    };
    check(replace, &[Inserted { seq: 5 }, Removed { first: 5, last: 5 }]);
}

#[test]
fn a_line_that_cannot_be_read_is_not_also_missing() {
    let lines = chain_of(10);
    for seq in 1..10 {
        let mut verifier = ChainVerifier::new();
        for line in &lines {
            if line.seq == seq { verifier.add_unreadable(seq) } else { verifier.add(line) }
        }
        assert_eq!(verifier.finish(Some(&manifest(&lines))).faults, [Unreadable { line: seq }]);
    }
}

#[test]
fn a_file_that_is_no_chain_at_all_does_not_fill_the_memory() {
    let mut verifier = ChainVerifier::new();
    for n in 0..5_000u64 {
        verifier.add(&forged(n * 2 % 4_999, GENESIS_HASH));
    }
    let faults = verifier.finish(None).faults.len();
    assert!((1..=MAX_FAULTS).contains(&faults), "{faults}");
}

/// Random tampering in random places is always noticed.
#[test]
fn no_tampering_goes_unnoticed() {
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let whole = chain_of(30);
    let manifest = manifest(&whole);
    for round in 0..2_000 {
        let mut lines = whole.clone();
        for _ in 0..=random(3) {
            let at = random(lines.len() as u64) as usize;
            match random(6) {
                0 => change(&mut lines[at]),
                1 => change_and_hash(&mut lines[at]),
                2 => drop(lines.remove(at)),
                3 => lines.insert(at, forged(random(40), &whole[random(30) as usize].hash)),
                4 => lines[at].seq = random(40),
                _ => lines.rotate_left(at),
            }
        }
        let is_tampered = lines != whole;
        assert_eq!(verify(&lines, Some(&manifest)).is_empty(), !is_tampered, "round {round}");
    }
}

/// Appends the record of a checkpoint that covers the records up to `last_seq`.
fn append_checkpoint(lines: &mut Vec<AuditRecord>, signer: &AuditSigner, last_seq: u64) {
    let covered = lines.iter().find(|line| line.seq == last_seq).unwrap();
    let details = AuditCheckpoint::sign(signer, last_seq, &covered.hash);
    append(lines, details);
}

fn append(lines: &mut Vec<AuditRecord>, details: Value) {
    let last = lines.last().unwrap();
    let draft = AuditDraft { action: AuditAction::AuditCheckpoint, details, ..draft(last.seq + 1) };
    let (entry, record) = seal(draft, last.seq + 1, &last.hash);
    lines.push(AuditRecord { seq: entry.seq, record, previous_hash: entry.previous_hash, hash: entry.hash });
}

/// A chain of 20 that was pruned up to record 5 and then up to record 8.
fn pruned(signer: &AuditSigner) -> Vec<AuditRecord> {
    let mut lines = chain_of(10);
    for last_seq in [5, 8] {
        append_checkpoint(&mut lines, signer, last_seq);
        lines.retain(|line| line.seq > last_seq);
    }
    for _ in 0..8 {
        let last = lines.last().unwrap();
        lines.push(sealed(last.seq + 1, last.seq + 1, &last.hash.clone()));
    }
    lines
}

/// Verifies with and without a manifest, with the key of the hive.
fn check_pruned(signer: &AuditSigner, tamper: impl FnOnce(&mut Vec<AuditRecord>), expected: &[ChainFault]) {
    let mut lines = pruned(signer);
    let manifest = AuditManifest { public_key: signer.public_key(), ..manifest(&lines) };
    tamper(&mut lines);
    for manifest in [Some(&manifest), None] {
        let mut verifier = ChainVerifier::new();
        verifier.trust(&signer.public_key());
        for line in &lines {
            verifier.add(line);
        }
        assert_eq!(verifier.finish(manifest).faults, expected, "{manifest:?}");
    }
}

#[test]
fn a_chain_that_was_pruned_twice_begins_at_its_last_checkpoint() {
    let signer = signer();
    check_pruned(&signer, |_| {}, &[]);
    // Without a key that is trusted, any key is.
    assert_eq!(verify(&pruned(&signer), None), []);
}

#[test]
fn a_record_more_than_the_checkpoint_covers_is_missing() {
    let signer = signer();
    check_pruned(&signer, |lines| drop(lines.remove(0)), &[Removed { first: 9, last: 9 }]);
    check_pruned(&signer, |lines| drop(lines.drain(..2)), &[Removed { first: 9, last: 10 }]);
    check_pruned(&signer, |lines| drop(lines.drain(4..6)), &[Removed { first: 13, last: 14 }]);
}

#[test]
fn without_its_checkpoint_the_beginning_is_missing() {
    let signer = signer();
    // The last checkpoint is record 12, and the one before it is record 11.
    check_pruned(
        &signer,
        |lines| drop(lines.remove(3)),
        &[Removed { first: 6, last: 8 }, Removed { first: 12, last: 12 }],
    );
    let both = |lines: &mut Vec<AuditRecord>| drop(lines.drain(2..4));
    check_pruned(&signer, both, &[Removed { first: 1, last: 8 }, Removed { first: 11, last: 12 }]);
}

#[test]
fn a_changed_checkpoint_is_found() {
    let signer = signer();
    let change = |line: &mut AuditRecord| {
        assert!(line.record.contains(r#"\"last_seq\":8"#), "{}", line.record);
        line.record = line.record.replace(r#"\"last_seq\":8"#, r#"\"last_seq\":9"#);
    };
    check_pruned(&signer, |lines| change(&mut lines[3]), &[Removed { first: 6, last: 8 }, Changed { seq: 12 }]);
    // Also if everything after it is hashed again.
    let rehashed = |lines: &mut Vec<AuditRecord>| {
        drop(lines.remove(0));
        change(&mut lines[2]);
        lines.truncate(3);
        lines[2].hash = hash(&lines[2].previous_hash, &lines[2].record);
    };
    let mut lines = pruned(&signer);
    rehashed(&mut lines);
    assert_eq!(verify(&lines, None), [Removed { first: 6, last: 9 }, CheckpointForged { seq: 12 }]);
}

#[test]
fn a_checkpoint_of_another_key_or_another_chain_covers_nothing() {
    let [signer, stranger] = [signer(), signer()];
    let mut forged = chain_of(10);
    append_checkpoint(&mut forged, &stranger, 8);
    forged.retain(|line| line.seq > 8);
    let mut verifier = ChainVerifier::new();
    verifier.trust(&signer.public_key());
    for line in &forged {
        verifier.add(line);
    }
    assert_eq!(verifier.finish(None).faults, [Removed { first: 1, last: 8 }]);
    // A genuine checkpoint, of a chain with another record 8.
    let mut other = chain_of(10);
    append(&mut other, AuditCheckpoint::sign(&signer, 8, &hash("", "another record")));
    other.retain(|line| line.seq > 8);
    assert_eq!(verify(&other, None), [Removed { first: 1, last: 8 }]);
    // A checkpoint of records that come after it.
    let mut early = chain_of(3);
    append(&mut early, AuditCheckpoint::sign(&signer, 9, &hash("", "")));
    assert_eq!(verify(&early, None), [CheckpointForged { seq: 4 }]);
}

#[test]
fn a_checkpoint_whose_records_are_still_there_is_no_fault() {
    let signer = signer();
    let mut lines = chain_of(10);
    append_checkpoint(&mut lines, &signer, 8);
    assert_eq!(verify(&lines, None), []);
    assert_eq!(verify(&lines, Some(&manifest(&lines))), []);
}

#[test]
fn a_chain_that_is_pruned_while_it_is_read_has_no_faults() {
    let signer = signer();
    let mut lines = chain_of(10);
    append_checkpoint(&mut lines, &signer, 8);
    // Records 1 to 3 were read before, and those from 9 on after.
    lines.retain(|line| line.seq <= 3 || line.seq > 8);
    assert_eq!(verify(&lines, None), []);
    // A file has a manifest, and no such gap.
    let signed = AuditManifest { public_key: signer.public_key(), ..manifest(&lines) };
    assert_eq!(verify(&lines, Some(&signed)), [Removed { first: 4, last: 8 }]);
}

#[test]
fn records_that_the_manifest_names_are_not_excused_by_a_checkpoint() {
    let signer = signer();
    let mut lines = chain_of(10);
    append_checkpoint(&mut lines, &signer, 8);
    let signed = AuditManifest { public_key: signer.public_key(), ..manifest(&lines) };
    lines.retain(|line| line.seq > 8);
    assert_eq!(verify(&lines, Some(&signed)), [Removed { first: 1, last: 8 }]);
}

#[test]
fn a_log_of_which_only_the_checkpoint_is_left_goes_on() {
    let signer = signer();
    let mut lines = chain_of(4);
    append_checkpoint(&mut lines, &signer, 4);
    lines.retain(|line| line.seq > 4);
    assert_eq!((verify(&lines, None), lines.len()), (Vec::new(), 1));
    append_checkpoint(&mut lines, &signer, 5);
    lines.retain(|line| line.seq > 5);
    assert_eq!((verify(&lines, None), lines[0].seq), (Vec::new(), 6));
}
