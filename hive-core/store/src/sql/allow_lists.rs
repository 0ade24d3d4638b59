//! Allow lists in an SQL database.

use async_trait::async_trait;

use super::{Row, SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{AllowListRow, AllowListStore, AllowListSubject, StoreResult};

#[async_trait]
impl AllowListStore for SqlStore {
    async fn allow_list_all(&self) -> StoreResult<Vec<AllowListRow>> {
        // Few have a list, and an index has those alone.
        let teams = self.fetch_all(Statement::new(statements::TEAM_ALLOW_LISTS)).await?;
        let satellites = self.fetch_all(Statement::new(statements::SATELLITE_ALLOW_LISTS)).await?;
        let of = |subject, row: &Row| Ok(AllowListRow { subject, networks: row.json("addresses")? });
        let teams = teams.iter().map(|row| of(AllowListSubject::Team(row.parse("id")?), row));
        let satellites = satellites.iter().map(|row| of(AllowListSubject::Satellite(row.parse("id")?), row));
        teams.chain(satellites).collect()
    }

    async fn allow_list_set(
        &self,
        subject: AllowListSubject,
        networks: Option<Vec<String>>,
        audit: AuditDraft,
    ) -> StoreResult<bool> {
        let statement = match subject {
            AllowListSubject::Team(id) => Statement::new(statements::TEAM_ALLOW_LIST_SET).text(id),
            AllowListSubject::Satellite(id) => Statement::new(statements::SATELLITE_ALLOW_LIST_SET).text(id),
        };
        self.execute_audited(statement.json_opt(networks.as_ref()), audit).await
    }
}
