//! Terminal sessions in an SQL database.

use async_trait::async_trait;
use hive_wire::api::{SessionEnd, SessionSort, Size};
use hive_wire::{SatelliteId, SessionId, Timestamp};

use super::commands::read_error;
use super::fields::corrupt_column;
use super::filter::Filter;
use super::{Row, SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{NewSession, RowRange, SessionQuery, SessionRow, SessionStore, StoreResult};

#[async_trait]
impl SessionStore for SqlStore {
    async fn session_insert(&self, session: NewSession, limit: u32, audit: AuditDraft) -> StoreResult<bool> {
        self.execute_audited(insert(session, limit), audit).await
    }

    async fn session_open(&self, id: SessionId, audit: AuditDraft) -> StoreResult<bool> {
        self.execute_audited(Statement::new(statements::SESSION_OPEN).text(id), audit).await
    }

    async fn session_get(&self, id: SessionId) -> StoreResult<Option<SessionRow>> {
        let row = self.fetch_optional(Statement::new(statements::SESSION_GET).text(id)).await?;
        row.as_ref().map(read_session).transpose()
    }

    async fn session_list(
        &self,
        query: &SessionQuery,
        range: RowRange<SessionSort>,
    ) -> StoreResult<(Vec<SessionRow>, u64)> {
        let SessionQuery { visible, satellite_id, ended } = query;
        let mut filter = Filter::default();
        filter.visible_to("s.team_id", Some("s.satellite_id"), visible).and_text("s.satellite_id = ?", *satellite_id);
        if let Some(has_ended) = ended {
            filter.and_raw(if *has_ended { "s.ended_at IS NOT NULL" } else { "s.ended_at IS NULL" });
        }
        self.fetch_part(&filter, statements::SESSION_LIST, statements::SESSION_ROWS_COUNTED, range, read_session).await
    }

    async fn session_list_open(&self, satellite: Option<SatelliteId>) -> StoreResult<Vec<SessionRow>> {
        let mut filter = Filter::default();
        filter.and_raw("s.ended_at IS NULL").and_text("s.satellite_id = ?", satellite);
        let list = filter.statement(statements::SESSION_LIST, " ORDER BY s.created_at, s.id", &[]);
        self.fetch_all(list).await?.iter().map(read_session).collect()
    }

    async fn session_list_open_ids(&self) -> StoreResult<Vec<SessionId>> {
        let rows = self.fetch_all(Statement::new(statements::SESSION_LIST_OPEN_IDS)).await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    async fn session_end(
        &self,
        id: SessionId,
        end: SessionEnd,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<bool> {
        let SessionEnd { reason, exit_code, error } = end;
        let statement = Statement::new(statements::SESSION_END)
            .text(id)
            .bind(reason.as_str())
            .number_opt(exit_code)
            .bind(error.as_ref().map(|error| error.code.as_str()))
            .bind(error.map(|error| error.message))
            .time(now);
        self.execute_audited(statement, audit).await
    }

    async fn session_resize(&self, id: SessionId, size: Size) -> StoreResult<()> {
        let statement = Statement::new(statements::SESSION_RESIZE).text(id).number(size.cols).number(size.rows);
        self.execute_unaudited(statement).await.map(drop)
    }
}

fn insert(session: NewSession, limit: u32) -> Statement {
    let NewSession { id, satellite_id, team_id, size, shell, actor, authorised_by, created_at } = session;
    Statement::new(statements::SESSION_INSERT)
        .text(id)
        .text(satellite_id)
        .text_opt(team_id)
        .number(size.cols)
        .number(size.rows)
        .bind(shell)
        .json(&actor)
        .bind(actor.kind)
        .bind(actor.id)
        .text(authorised_by)
        .time(created_at)
        .number(limit)
}

fn read_session(row: &Row) -> StoreResult<SessionRow> {
    Ok(SessionRow {
        id: row.parse("id")?,
        satellite_id: row.parse("satellite_id")?,
        satellite_name: row.text("satellite_name")?.try_into().map_err(|_| corrupt_column("satellite_name"))?,
        team_id: row.parse_opt("team_id")?,
        status: row.string_enum("status")?,
        size: Size { cols: row.number("screen_cols")?, rows: row.number("screen_rows")? },
        shell: row.text_opt("shell")?,
        actor: row.json("actor")?,
        created_at: row.time("created_at")?,
        ended_at: row.time_opt("ended_at")?,
        end: read_end(row)?,
    })
}

fn read_end(row: &Row) -> StoreResult<Option<SessionEnd>> {
    let Some(reason) = row.string_enum_opt("end_reason")? else {
        return Ok(None);
    };
    Ok(Some(SessionEnd { reason, exit_code: row.number_opt("exit_code")?, error: read_error(row)? }))
}
