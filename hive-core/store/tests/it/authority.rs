//! The constraints of the database itself on rows that make a satellite act.

/// Tables whose rows make a satellite act.
const TABLES: [&str; 4] = ["satellite_commands", "jobs", "sessions", "registration_tokens"];

/// Checks that the database refuses a row without an actor or an authority, and one of an AI client that neither a rule nor a
/// plan allowed. `execute` runs a statement and returns how many rows it changed. Rows of each kind must exist.
pub(crate) async fn check(mut execute: impl AsyncFnMut(String) -> Result<u64, Box<dyn std::error::Error>>) {
    for table in TABLES {
        let differing =
            format!("UPDATE {table} SET actor = actor WHERE actor NOT LIKE '%\"type\":\"' || actor_kind || '\"%'");
        let changed = execute(differing).await.unwrap();
        assert_eq!(changed, 0, "{table}: the kind is not the actor's");
        for values in ["actor_kind = NULL", "authorised_by = NULL", "actor_kind = 'mcp', authorised_by = 'role'"] {
            let refused = execute(format!("UPDATE {table} SET {values}")).await;
            assert!(refused.is_err(), "{table}: {values}");
        }
        for authority in ["rule:rul_1", "plan:pln_1"] {
            let statement = format!("UPDATE {table} SET actor_kind = 'mcp', authorised_by = '{authority}'");
            let changed = execute(statement).await.unwrap();
            assert!(changed > 0, "{table} has no rows");
        }
    }
}
