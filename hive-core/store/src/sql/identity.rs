//! Users, teams and API keys in an SQL database.

mod api_keys;
mod teams;
mod users;

use super::error::taken;
use super::{Row, SqlStore, Statement, text};
use crate::StoreResult;
use crate::audit::AuditDraft;

impl SqlStore {
    /// Runs a statement that adds something; `unique` is what may be taken.
    async fn add(&self, statement: Statement, unique: &'static str, audit: AuditDraft) -> StoreResult<()> {
        self.write_simple(move |transaction| {
            Box::pin(async move {
                transaction.execute(statement).await.map_err(taken(unique))?;
                transaction.audit(audit).await?;
                Ok(())
            })
        })
        .await
    }
}
