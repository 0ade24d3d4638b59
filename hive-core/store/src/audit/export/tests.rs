use serde_json::{Value, json};

use super::*;
use crate::audit::AuditDraft;
use crate::fixture::{self, now, signer};
use crate::sqlite;

fn draft(n: u64) -> AuditDraft {
    AuditDraft { details: json!({ "n": n, "text": "two\nlines \u{1b}[2J" }), ..fixture::draft() }
}

/// Returns the lines of an exported log with this many records, and the key that signed it.
async fn export_of(records: u64) -> (Vec<String>, String) {
    let store = sqlite::in_memory().await.unwrap();
    for n in 0..records {
        store.audit_append(draft(n)).await.unwrap();
    }
    let signer = signer();
    let (sender, mut receiver) = mpsc::channel(records as usize + 1);
    export_log(&store, &signer, now(), &sender).await.unwrap();
    drop(sender);
    let mut lines = Vec::new();
    while let Some(line) = receiver.recv().await {
        lines.push(serde_json::to_string(&line).unwrap());
    }
    (lines, signer.public_key())
}

fn verify(lines: &[String], key: Option<&str>) -> AuditVerification {
    verify_export(lines.join("\n").as_bytes(), key).unwrap()
}

fn faults(lines: &[String], key: &str) -> Vec<ChainFault> {
    verify(lines, Some(key)).faults
}

fn edit(line: &str, field: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    change(&mut value[field]);
    value.to_string()
}

#[tokio::test]
async fn an_export_is_genuine() {
    for records in [0, 1, 2, 3] {
        let (lines, key) = export_of(records).await;
        let verification = verify(&lines, Some(&key));
        assert!(verification.valid, "{verification:?}");
        assert_eq!((verification.records, verification.public_key), (records, Some(key)));
        assert!(verify(&lines, None).valid);
    }
}

#[tokio::test]
async fn an_export_goes_beyond_one_batch() {
    let (lines, key) = export_of(u64::from(BATCH) + 1).await;
    assert_eq!(verify(&lines, Some(&key)).records, u64::from(BATCH) + 1);
    assert_eq!(faults(&lines, &key), []);
}

#[tokio::test]
async fn a_cut_tail_is_named() {
    let (mut lines, key) = export_of(5).await;
    lines.drain(3..5);
    assert_eq!(faults(&lines, &key), [ChainFault::TailCut { last_seq: 3, expected: 5 }]);
    lines.pop();
    assert_eq!(faults(&lines, &key), [ChainFault::ManifestMissing]);
}

#[tokio::test]
async fn a_changed_line_is_named() {
    let (mut lines, key) = export_of(5).await;
    lines[2] = edit(&lines[2], "record", |record| *record = record.as_str().unwrap().replace("anna", "eve").into());
    assert_eq!(faults(&lines, &key), [ChainFault::Changed { seq: 3 }]);
    lines[2] = "{}".into();
    assert_eq!(faults(&lines, &key), [ChainFault::Unreadable { line: 3 }]);
}

#[tokio::test]
async fn records_after_the_manifest_are_inserted() {
    let (mut lines, key) = export_of(3).await;
    lines.push(lines[0].clone());
    assert_eq!(faults(&lines, &key), [ChainFault::Inserted { seq: 1 }]);
    let (mut lines, key) = export_of(3).await;
    lines.push(lines[3].clone());
    assert_eq!(faults(&lines, &key), [ChainFault::Unreadable { line: 5 }]);
}

#[tokio::test]
async fn a_manifest_of_another_key_is_forged() {
    let (lines, _) = export_of(3).await;
    let (others, other_key) = export_of(3).await;
    assert_eq!(faults(&lines, &other_key), [ChainFault::ManifestForged]);
    let mixed = [&lines[..3], &others[3..]].concat();
    assert!(!verify(&mixed, None).valid, "the manifest of another log does not fit");
}

#[tokio::test]
async fn a_changed_manifest_is_forged() {
    let (mut lines, key) = export_of(3).await;
    lines.remove(2);
    let shortened =
        |text: &mut Value| *text = text.as_str().unwrap().replace("\"last_seq\":3", "\"last_seq\":2").into();
    lines[2] = edit(&lines[2], "manifest", shortened);
    assert_eq!(faults(&lines, &key), [ChainFault::ManifestForged]);
    assert_eq!(verify(&lines, None).faults, [ChainFault::ManifestForged]);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_not_verified() {
    let signer = signer();
    let manifest = AuditManifest {
        version: 2,
        first_seq: 0,
        last_seq: 0,
        head_hash: GENESIS_HASH.into(),
        exported_at: now(),
        public_key: signer.public_key(),
    };
    let line = serde_json::to_string(&sign(&signer, &manifest)).unwrap();
    assert!(matches!(verify_export(line.as_bytes(), None), Err(ExportError::UnknownVersion(2))));
}

#[test]
fn an_invalid_key_is_refused() {
    for bad in ["", "AAAA", "not base64", "hive.db"] {
        assert!(matches!(verify_export(&b""[..], Some(bad)), Err(ExportError::InvalidKey)), "{bad}");
    }
}

#[test]
fn an_endless_line_is_skipped_in_constant_memory() {
    let endless = io::repeat(b'x').take(MAX_LINE + 10).chain(&b"\n{}\n"[..]);
    let numbers: Vec<_> = read_export(io::BufReader::new(endless)).map(|line| line.unwrap()).collect();
    assert_eq!(numbers, [(1, None), (2, None)]);
}
