use serde_json::json;

use super::*;
use crate::audit::{AuditAction, AuditCheckpoint, AuditDraft, AuditRecord, AuditSigner};
use crate::fixture::{draft, signer};
use crate::{AuditRange, AuditStore, RetentionStore};

async fn open(dir: &tempfile::TempDir) -> SqlStore {
    super::open(&dir.path().join("hive.db")).await.unwrap()
}

/// The range of the first records up to number `last_seq`, and the draft of its checkpoint.
fn pruning(records: &[AuditRecord], last_seq: u64, signer: &AuditSigner) -> (AuditRange, AuditDraft) {
    let last = records.iter().find(|record| record.seq == last_seq).unwrap();
    let range = AuditRange { first_seq: records[0].seq, last_seq, last_hash: last.hash.clone() };
    let details = AuditCheckpoint::sign(signer, last_seq, &last.hash);
    (range, AuditDraft { action: AuditAction::AuditCheckpoint, details, ..draft() })
}

#[tokio::test]
async fn a_pruning_that_fails_leaves_its_records_and_no_checkpoint() {
    let (dir, signer) = (tempfile::tempdir().unwrap(), signer());
    let store = open(&dir).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(store.audit_append(draft()).await.unwrap().id);
    }
    let records = store.audit_records(0, 10).await.unwrap();
    let (range, checkpoint) = pruning(&records, 3, &signer);
    // The record of the checkpoint cannot be stored after the deletion: its id is taken.
    let taken = AuditDraft { id: ids[4], ..checkpoint.clone() };
    assert!(store.audit_prune(range.clone(), taken).await.is_err());
    assert_eq!(store.audit_records(0, 10).await.unwrap(), records);
    assert!(store.audit_prune(range, checkpoint).await.unwrap(), "the next run goes on");
    assert_eq!(store.audit_records(0, 1).await.unwrap()[0].seq, 4);
    assert!(store.audit_verify(Some(&signer.public_key())).await.unwrap().valid);
}

#[tokio::test]
async fn a_file_gets_smaller_unless_it_was_made_without_that() {
    for is_new in [true, false] {
        let (dir, signer) = (tempfile::tempdir().unwrap(), signer());
        let path = dir.path().join("hive.db");
        if !is_new {
            create_private(&path).unwrap();
            let mut before = connect(options().file(&path), &DIALECT).await.unwrap();
            before.script("CREATE TABLE before (id INTEGER); DROP TABLE before").await.unwrap();
            Connection::close(Box::new(before)).await.unwrap();
        }
        let store = open(&dir).await;
        for _ in 0..120 {
            let details = json!({ "text": "x".repeat(100_000) });
            store.audit_append(AuditDraft { details, ..draft() }).await.unwrap();
        }
        let records = store.audit_records(0, 200).await.unwrap();
        let (range, checkpoint) = pruning(&records, 119, &signer);
        assert!(store.audit_prune(range, checkpoint).await.unwrap());
        let mut rounds = 0;
        while store.space_reclaim().await.unwrap() {
            rounds += 1;
        }
        // About 8 MiB, in parts of 1 MiB.
        assert_eq!((4..20).contains(&rounds), is_new, "{rounds}");
        assert!(store.audit_verify(None).await.unwrap().valid);
        store.close().await.unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        assert_eq!(size < 6_000_000, is_new, "{size} bytes");
        assert_eq!(check(&path).await.unwrap(), [""; 0]);
    }
}
