//! The audit log.

use axum::body::{Body as Stream, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use hive_core::wire::AuditId;
use hive_core::wire::api::{
    AuditEntry, AuditExportLine, AuditQuery, AuditSort, AuditTarget, AuditVerification, PageRequest,
};
use hive_core::{Error, Subscription};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiResult, CreatedResult, created, ok, paged};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path, Query};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;
use hive_core::access::Permission;

pub(super) fn routes() -> Routes<AppState> {
    Routes::tagged("audit")
        .get(
            "/api/v1/audit/logs",
            list,
            Operation::new("audit_list", "Lists audit records")
                .permission(Permission::AuditRead, Reach::Anywhere)
                .query::<AuditQuery>()
                .query::<PageRequest<AuditSort>>()
                .answer_page::<AuditEntry>("A part of the records."),
        )
        .post(
            "/api/v1/audit/logs",
            log,
            Operation::new("audit_note", "Adds a record of the caller's own")
                .permission(Permission::AuditRead, Reach::Platform)
                .keeps_answer()
                .body::<AuditLogCreate>(json!({
                    "action": "backup.checked", "target": { "type": "backup", "id": "2026-02-05" }, "details": { "files": 7 }
                }))
                .answer::<AuditEntry>(201, "The record."),
        )
        .get(
            "/api/v1/audit/logs/{id}",
            get,
            Operation::new("audit_get", "Returns an audit record")
                .permission(Permission::AuditRead, Reach::AuditRecord)
                .path::<AuditId>("The record.")
                .answer::<AuditEntry>(200, "The record."),
        )
        .get(
            "/api/v1/audit/export",
            export,
            Operation::new("audit_export", "Exports the audit log")
                .description("One JSON object a line; the last line is the signed manifest.")
                .permission(Permission::AuditRead, Reach::Platform)
                .answer_lines::<AuditExportLine>("The lines."),
        )
        .get(
            "/api/v1/audit/verify",
            verify,
            Operation::new("audit_verify", "Verifies the audit log")
                .permission(Permission::AuditRead, Reach::Platform)
                .answer::<AuditVerification>(200, "The result."),
        )
}

/// A record that the caller writes.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditLogCreate {
    /// What was done, such as `backup.checked`: 1 to 128 printable characters.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    action: String,
    /// What it was done to.
    target: AuditTarget,
    /// Further details.
    #[serde(default)]
    details: Value,
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(query): Query<AuditQuery>,
    Query(page): Query<PageRequest<AuditSort>>,
) -> ApiResult<Vec<AuditEntry>> {
    let found = hive.audit().query(query, page).await?;
    Ok(paged(found))
}

pub(super) async fn log(
    Authenticated(hive): Authenticated,
    Body(record): Body<AuditLogCreate>,
) -> CreatedResult<AuditEntry> {
    let entry = hive.audit().log(record.action, record.target, record.details).await?;
    Ok(created(entry))
}

pub(super) async fn get(Authenticated(hive): Authenticated, Path(id): Path<AuditId>) -> ApiResult<AuditEntry> {
    let found = hive.audit().get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::NotFound { what: "audit record", id: id.to_string() })?))
}

pub(super) async fn verify(Authenticated(hive): Authenticated) -> ApiResult<AuditVerification> {
    let verification = hive.audit().verify().await?;
    Ok(ok(verification))
}

pub(super) async fn export(Authenticated(hive): Authenticated) -> Result<Response, HttpError> {
    let lines = hive.audit().export().await?;
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((headers, export_body(lines)).into_response())
}

/// The progress of an export.
enum ExportState {
    Running(Subscription<AuditExportLine>),
    Complete,
}

/// Streams the lines of an export. If the hive fails before the manifest, the connection is broken off, so that a client
/// cannot take a part of the export for the whole.
fn export_body(lines: Subscription<AuditExportLine>) -> Stream {
    Stream::from_stream(try_unfold(ExportState::Running(lines), async |export| {
        let ExportState::Running(mut lines) = export else { return Ok(None) };
        let Some(line) = lines.next().await else {
            return Err("the export ended early");
        };
        let mut bytes = serde_json::to_vec(&line).map_err(|_| "the export holds a line that cannot be written")?;
        bytes.push(b'\n');
        // Only the manifest ends the stream: lines that end without it were interrupted.
        let is_last = matches!(line, AuditExportLine::Manifest { .. });
        let next = if is_last { ExportState::Complete } else { ExportState::Running(lines) };
        Ok(Some((Bytes::from(bytes), next)))
    }))
}
