//! Terminals in SQLite.

use async_trait::async_trait;
use hive_wire::api::{SessionEnd, Size};
use hive_wire::{SatelliteId, SessionId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, query};

use super::SqliteStore;
use super::bind::{Bind, Query, assembled};
use super::commands::read_error;
use super::fields::{Fields, damaged};
use crate::audit::AuditDraft;
use crate::store::sql::{self, Filter};
use crate::store::{NewSession, SessionQuery, SessionRow, SessionStore, StoreResult};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn session_insert(&self, session: NewSession, limit: u32, audit: AuditDraft) -> StoreResult<bool> {
        self.change_audited(insert(session, limit), audit).await
    }

    async fn session_open(&self, id: SessionId, audit: AuditDraft) -> StoreResult<bool> {
        self.change_audited(query(sql::SESSION_OPEN).text(id), audit).await
    }

    async fn session_get(&self, id: SessionId) -> StoreResult<Option<SessionRow>> {
        let row = self.read().await?.fetch_optional(query(sql::SESSION_GET).text(id)).await?;
        row.as_ref().map(read_session).transpose()
    }

    async fn session_list(&self, query: &SessionQuery, limit: u32) -> StoreResult<Vec<SessionRow>> {
        let SessionQuery { sight, satellite_id, ended } = query;
        let mut filter = Filter::default();
        filter.in_sight("s.team_id", sight).and_text("s.satellite_id = ?", *satellite_id);
        if !ended {
            filter.always("s.ended_at IS NULL");
        }
        self.sessions(&filter, " ORDER BY s.created_at DESC, s.id DESC LIMIT ?", &[limit.into()]).await
    }

    async fn session_list_open(&self, satellite: Option<SatelliteId>) -> StoreResult<Vec<SessionRow>> {
        let mut filter = Filter::default();
        filter.always("s.ended_at IS NULL").and_text("s.satellite_id = ?", satellite);
        self.sessions(&filter, " ORDER BY s.created_at, s.id", &[]).await
    }

    async fn session_end(
        &self,
        id: SessionId,
        end: SessionEnd,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<bool> {
        let SessionEnd { reason, exit_code, error } = end;
        let statement = query(sql::SESSION_END)
            .text(id)
            .bind(reason.as_str())
            .bind(exit_code)
            .bind(error.as_ref().map(|error| error.code.as_str()))
            .bind(error.map(|error| error.message))
            .time(now);
        self.change_audited(statement, audit).await
    }

    async fn session_resize(&self, id: SessionId, size: Size) -> StoreResult<()> {
        let statement = query(sql::SESSION_RESIZE).text(id).number(size.cols).number(size.rows);
        self.write_simple(move |transaction| Box::pin(transaction.execute(statement))).await.map(drop)
    }
}

impl SqliteStore {
    async fn sessions(&self, filter: &Filter, order: &str, values: &[i64]) -> StoreResult<Vec<SessionRow>> {
        let statement = assembled(filter.statement(sql::SESSION_LIST, order, values));
        self.read().await?.fetch_all(statement).await?.iter().map(read_session).collect()
    }

    /// Runs a statement, and writes the record where it changed something; whether it did.
    async fn change_audited(&self, statement: Query, audit: AuditDraft) -> StoreResult<bool> {
        self.write_simple(move |transaction| {
            Box::pin(async move {
                let is_done = transaction.execute(statement).await? > 0;
                if is_done {
                    transaction.audit(audit).await?;
                }
                Ok(is_done)
            })
        })
        .await
    }
}

fn insert(session: NewSession, limit: u32) -> Query {
    let NewSession { id, satellite_id, team_id, size, shell, actor, created_at } = session;
    query(sql::SESSION_INSERT)
        .text(id)
        .text(satellite_id)
        .text_opt(team_id)
        .number(size.cols)
        .number(size.rows)
        .bind(shell)
        .json(&actor)
        .bind(actor.id)
        .time(created_at)
        .number(limit)
}

fn read_session(row: &SqliteRow) -> StoreResult<SessionRow> {
    Ok(SessionRow {
        id: row.parse("id")?,
        satellite_id: row.parse("satellite_id")?,
        satellite_name: row.text("satellite_name")?.try_into().map_err(|_| damaged("satellite_name"))?,
        team_id: row.parse_opt("team_id")?,
        status: row.word("status")?,
        size: Size { cols: row.number("screen_cols")?, rows: row.number("screen_rows")? },
        shell: row.text_opt("shell")?,
        actor: row.json("actor")?,
        created_at: row.time("created_at")?,
        ended_at: row.time_opt("ended_at")?,
        end: read_end(row)?,
    })
}

fn read_end(row: &SqliteRow) -> StoreResult<Option<SessionEnd>> {
    let Some(reason) = row.word_opt("end_reason")? else {
        return Ok(None);
    };
    Ok(Some(SessionEnd { reason, exit_code: row.number_opt("exit_code")?, error: read_error(row)? }))
}
