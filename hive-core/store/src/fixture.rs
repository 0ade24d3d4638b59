//! Records, ids and keys for the tests of this crate.

use std::sync::atomic::{AtomicU64, Ordering};

use hive_wire::api::Actor;
use hive_wire::id::Seed;
use hive_wire::{AuditId, Timestamp};

use crate::audit::{AuditAction, AuditDraft, AuditSigner};

/// Returns a seed for a new id. Seeds of one process are unique.
pub(crate) fn seed() -> Seed {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Seed { unix_millis: now().unix_millis(), random }
}

/// Returns a fixed time.
pub(crate) fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

/// Returns an audit record.
pub(crate) fn draft() -> AuditDraft {
    let actor = Actor { kind: "system".into(), id: "system".into(), name: "anna".into(), ip: None };
    AuditDraft::new(AuditId::new(seed()), now(), actor, AuditAction::AuditNote, "1")
}

/// Returns a signer with a key of its own.
pub(crate) fn signer() -> AuditSigner {
    let mut secret = [7; 32];
    secret[..10].copy_from_slice(&seed().random);
    AuditSigner::from_secret(&secret)
}
