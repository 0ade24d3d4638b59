//! Tests that all databases share.

use futures_util::future::{BoxFuture, FutureExt, join_all};
use hive_wire::api::ChainFault;

#[cfg(feature = "sqlite")]
pub(crate) use super::statements::plans::{check_plans, check_telemetry_plans};

use super::writer::Transaction;
use super::{SqlStore, Statement};
use crate::access::VisibleTeams;
use crate::fixture::draft;
use crate::{AuditStore, RowRange, StoreError, StoreResult, TeamStore};

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

const TEAM_INSERT: &str = "INSERT INTO teams (id, slug, created_at) VALUES ('team_1', $1, 1)";

/// Fails at its third statement, after it has changed something.
fn fail_late(transaction: &mut Transaction) -> BoxFuture<'_, StoreResult<()>> {
    Box::pin(async move {
        transaction.execute(Statement::new("DELETE FROM teams")).await?;
        transaction.execute(Statement::new(TEAM_INSERT).text("one")).await?;
        transaction.audit(draft());
        transaction.execute(Statement::new(TEAM_INSERT).text("two")).await.map(drop)
    })
}

/// Checks that requests that fail at a later statement leave nothing, and fail beside 100 others that succeed: as the first of a
/// batch, the last one, alone, and several in a row.
pub(crate) async fn a_request_that_fails_fails_alone(store: &SqlStore) {
    let mut appended = 0;
    for failing in [&[0][..], &[100], &[50, 51, 53], &[0, 1, 99]] {
        // All are polled before the writer's task, so that they are in one batch.
        let requests = (0..=100).map(|number| {
            if failing.contains(&number) {
                store.write(fail_late).boxed()
            } else {
                store.audit_append(draft()).map(|entry| entry.map(drop)).boxed()
            }
        });
        for (number, result) in join_all(requests).await.into_iter().enumerate() {
            let is_expected =
                if failing.contains(&number) { matches!(result, Err(StoreError::Taken(_))) } else { result.is_ok() };
            assert!(is_expected, "{number} of {failing:?}: {result:?}");
            appended += u64::from(result.is_ok());
        }
    }
    assert!(store.write(fail_late).await.is_err());
    assert!(store.team_list(&VisibleTeams::All, RowRange::ALL).await.unwrap().0.is_empty());
    let verification = store.audit_verify(None).await.unwrap();
    assert!(verification.valid && verification.records == appended, "{appended} {verification:?}");
}
