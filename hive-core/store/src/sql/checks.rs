//! Tests that all databases share.

use hive_wire::api::ChainFault;

/// Statements that tamper with a chain of five records, and the fault that the verification finds.
pub(crate) const TAMPERINGS: [(&str, ChainFault); 8] = [
    (
        "UPDATE audit_log SET record = REPLACE(record, 'audit.note', 'eaten') WHERE seq = 3",
        ChainFault::Changed { seq: 3 },
    ),
    ("UPDATE audit_log SET action = 'eaten' WHERE seq = 3", ChainFault::Changed { seq: 3 }),
    ("UPDATE audit_log SET actor_id = 'eve' WHERE seq = 3", ChainFault::Changed { seq: 3 }),
    ("UPDATE audit_log SET team_id = 'team_1' WHERE seq = 3", ChainFault::Changed { seq: 3 }),
    ("UPDATE audit_log SET timestamp = timestamp + 1 WHERE seq = 3", ChainFault::Changed { seq: 3 }),
    ("UPDATE audit_log SET seq = 9 WHERE seq = 3", ChainFault::Reordered { seq: 3 }),
    ("UPDATE audit_log SET seq = -3 WHERE seq = 3", ChainFault::Reordered { seq: 3 }),
    ("DELETE FROM audit_log WHERE seq IN (2, 3)", ChainFault::Removed { first: 2, last: 3 }),
];
