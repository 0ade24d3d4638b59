//! The checkpoint of a pruned audit log: a signed statement that all records up to one were deleted on purpose.
//!
//! It is stored as an ordinary record of the log, in the transaction that deletes the records. A verifier begins at the
//! checkpoint instead of record 1. Without the signing key nobody can make one, so that a log which begins later than its
//! checkpoint says has lost records.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::signer::{self, AuditSigner};
use super::{AuditAction, AuditRecord};

/// The version of the signed text.
const VERSION: u32 = 1;
/// Distinguishes the text from a manifest, which the same key signs.
const KIND: &str = "audit_checkpoint";

/// What a checkpoint states: records 1 to `last_seq` were deleted on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditCheckpoint {
    version: u32,
    kind: String,
    /// The number of the last deleted record.
    pub last_seq: u64,
    /// The hash of the last deleted record, in hex. The next record has it as its previous hash.
    pub last_hash: String,
    /// The signing key, base64.
    pub public_key: String,
}

/// The details of the record of a checkpoint.
#[derive(Deserialize)]
struct SignedCheckpoint {
    /// The text of the checkpoint, as it was signed.
    checkpoint: String,
    signature: String,
}

/// What a record says about a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CheckpointRecord {
    /// It is a record of another action.
    None,
    /// It is a checkpoint, signed by the key that it names.
    Signed(AuditCheckpoint),
    /// It has the action of a checkpoint, and no valid signature.
    Forged,
}

impl AuditCheckpoint {
    /// Makes a checkpoint and signs it. Returns the details of its record, which has the action
    /// [`AuditAction::AuditCheckpoint`].
    pub fn sign(signer: &AuditSigner, last_seq: u64, last_hash: &str) -> Value {
        let (kind, last_hash) = (KIND.to_owned(), last_hash.to_owned());
        let checkpoint = Self { version: VERSION, kind, last_seq, last_hash, public_key: signer.public_key() };
        let checkpoint = serde_json::to_string(&checkpoint).expect("a checkpoint is plain data");
        let signature = signer.sign(&checkpoint);
        json!({ "checkpoint": checkpoint, "signature": signature })
    }

    /// Reads the checkpoint of a record from its details. `None` if it is not signed by the key that it names.
    pub fn verified(details: &Value) -> Option<Self> {
        let SignedCheckpoint { checkpoint: text, signature } = SignedCheckpoint::deserialize(details).ok()?;
        let checkpoint: Self = serde_json::from_str(&text).ok()?;
        let is_known = checkpoint.version == VERSION && checkpoint.kind == KIND;
        let key = signer::public_key(&checkpoint.public_key)?;
        (is_known && signer::is_signed(&key, &text, &signature)).then_some(checkpoint)
    }
}

impl CheckpointRecord {
    /// Reads a stored record, which must be intact.
    pub(super) fn read(stored: &AuditRecord) -> Self {
        #[derive(Deserialize)]
        struct Text {
            seq: u64,
            action: String,
            details: Value,
        }
        // Nearly all records are of other actions, and are not parsed again.
        if !stored.record.contains(AuditAction::AuditCheckpoint.as_str()) {
            return Self::None;
        }
        let Ok(Text { seq, action, details }) = serde_json::from_str(&stored.record) else {
            return Self::None;
        };
        if action != AuditAction::AuditCheckpoint.as_str() {
            return Self::None;
        }
        // It comes after the records that it covers.
        let checkpoint = AuditCheckpoint::verified(&details).filter(|checkpoint| checkpoint.last_seq < seq);
        checkpoint.map_or(Self::Forged, Self::Signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::signer;

    #[test]
    fn a_checkpoint_is_valid_as_it_was_signed_and_in_no_other_way() {
        let (signer, hash) = (signer(), "ab".repeat(32));
        let details = AuditCheckpoint::sign(&signer, 7, &hash);
        let checkpoint = AuditCheckpoint::verified(&details).unwrap();
        assert_eq!((checkpoint.last_seq, checkpoint.last_hash, checkpoint.public_key), (7, hash, signer.public_key()));
        let change = |from: &str, to: &str| {
            let mut changed = details.clone();
            let text = details["checkpoint"].as_str().unwrap();
            assert!(text.contains(from), "{text}");
            changed["checkpoint"] = text.replace(from, to).into();
            changed
        };
        for changed in [
            change("\"last_seq\":7", "\"last_seq\":8"),
            change("abab", "baba"),
            change(KIND, "audit_manifest"),
            change("\"version\":1", "\"version\":2"),
            json!({ "checkpoint": details["checkpoint"] }),
            json!({ "checkpoint": details["checkpoint"], "signature": "AAAA" }),
            json!({}),
        ] {
            assert_eq!(AuditCheckpoint::verified(&changed), None, "{changed}");
        }
    }
}
