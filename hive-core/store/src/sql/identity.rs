//! Users, teams and API keys in an SQL database.

mod api_keys;
mod losses;
mod teams;
mod users;

use super::error::map_unique_violation;
use super::{Filter, Row, SqlStore, Statement, statements};
use crate::StoreResult;
use crate::audit::AuditDraft;

impl SqlStore {
    /// Runs an insert with its audit record. `unique` names the value that may be taken.
    async fn add(&self, statement: Statement, unique: &'static str, audit: AuditDraft) -> StoreResult<()> {
        self.write(move |transaction| {
            Box::pin(async move {
                transaction.execute(statement).await.map_err(map_unique_violation(unique))?;
                transaction.audit(audit);
                Ok(())
            })
        })
        .await
    }
}
