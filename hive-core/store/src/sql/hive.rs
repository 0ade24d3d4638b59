//! The hive of an SQL database.

use async_trait::async_trait;

use super::writer::Transaction;
use super::{Row, SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{Fingerprints, HiveRow, HiveStore, StoreResult};

#[async_trait]
impl HiveStore for SqlStore {
    async fn hive_get(&self) -> StoreResult<Option<HiveRow>> {
        let row = self.fetch_optional(Statement::new(statements::HIVE_GET)).await?;
        row.as_ref().map(read_hive).transpose()
    }

    async fn hive_create(&self, hive: HiveRow) -> StoreResult<HiveRow> {
        self.write(move |transaction| Box::pin(create(transaction, hive))).await
    }

    async fn hive_keys_set(&self, keys: Fingerprints, audit: AuditDraft) -> StoreResult<()> {
        let statement = Statement::new(statements::HIVE_KEYS_SET).json(&keys);
        self.execute_audited(statement, audit).await.map(drop)
    }
}

/// Returns the stored hive, or stores this one. All write transactions of a database run one after the other, so that a read
/// and a write are atomic.
async fn create(transaction: &mut Transaction, hive: HiveRow) -> StoreResult<HiveRow> {
    // Another process may have created it since the caller looked.
    if let Some(row) = transaction.fetch_optional(Statement::new(statements::HIVE_GET)).await? {
        return read_hive(&row);
    }
    let statement = Statement::new(statements::HIVE_INSERT).text(hive.id).time(hive.created_at).json(&hive.keys);
    transaction.execute(statement).await?;
    Ok(hive)
}

fn read_hive(row: &Row) -> StoreResult<HiveRow> {
    Ok(HiveRow { id: row.parse("id")?, created_at: row.time("created_at")?, keys: row.json("keys")? })
}
