//! What the tests of all databases share.

use hive_wire::api::ChainFault;

use super::SqlStore;

/// Statements that change a chain of five behind the store's back, and the fault that each leaves.
pub(crate) const TAMPERINGS: [(&str, ChainFault); 8] = [
    (
        "UPDATE audit_log SET record = REPLACE(record, 'check.ed', 'eaten') WHERE seq = 3",
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

/// Tables whose rows make a satellite act.
const ACTING: [&str; 4] = ["satellite_commands", "jobs", "sessions", "registration_tokens"];

/// Checks that the database itself holds no row that makes a satellite act without saying who asked and what allowed it, nor
/// one of an AI client that no rule and no plan allowed. Rows of each kind must be there.
pub(crate) async fn no_row_acts_without_an_authority(store: &SqlStore) {
    for table in ACTING {
        let differing =
            format!("UPDATE {table} SET actor = actor WHERE actor NOT LIKE '%\"type\":\"' || actor_kind || '\"%'");
        assert!(!store.attempt(differing).await.unwrap(), "{table}: the kind is not the actor's");
        for values in ["actor_kind = NULL", "authorised_by = NULL", "actor_kind = 'mcp', authorised_by = 'role'"] {
            let refused = store.attempt(format!("UPDATE {table} SET {values}")).await;
            assert!(refused.is_err(), "{table}: {values}");
        }
        for authority in ["rule:rul_1", "plan:pln_1"] {
            let values = format!("actor_kind = 'mcp', authorised_by = '{authority}'");
            let is_changed = store.attempt(format!("UPDATE {table} SET {values}")).await.unwrap();
            assert!(is_changed, "{table} has no rows");
        }
    }
}
