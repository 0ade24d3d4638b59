//! Which hive an SQL database is of.

use async_trait::async_trait;

use super::writer::Transaction;
use super::{Row, SqlStore, Statement, text};
use crate::audit::AuditDraft;
use crate::{Fingerprints, HiveRow, HiveStore, StoreResult};

#[async_trait]
impl HiveStore for SqlStore {
    async fn hive_get(&self) -> StoreResult<Option<HiveRow>> {
        let row = self.fetch_optional(Statement::new(text::HIVE_GET)).await?;
        row.as_ref().map(read_hive).transpose()
    }

    async fn hive_create(&self, hive: HiveRow) -> StoreResult<HiveRow> {
        self.write_simple(move |transaction| Box::pin(create(transaction, hive))).await
    }

    async fn hive_keys_set(&self, keys: Fingerprints, audit: AuditDraft) -> StoreResult<()> {
        let statement = Statement::new(text::HIVE_KEYS_SET).json(&keys);
        self.change_audited(statement, audit).await.map(drop)
    }
}

/// Reads and writes in one transaction: all writers of a database take turns.
async fn create(transaction: &mut Transaction, hive: HiveRow) -> StoreResult<HiveRow> {
    if let Some(row) = transaction.fetch_optional(Statement::new(text::HIVE_GET)).await? {
        return read_hive(&row);
    }
    let statement = Statement::new(text::HIVE_INSERT).text(hive.id).time(hive.created_at).json(&hive.keys);
    transaction.execute(statement).await?;
    Ok(hive)
}

fn read_hive(row: &Row) -> StoreResult<HiveRow> {
    Ok(HiveRow { id: row.parse("id")?, created_at: row.time("created_at")?, keys: row.json("keys")? })
}
