//! The audit log.

use axum::body::{Body as Stream, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use hive_core::wire::AuditId;
use hive_core::wire::api::{AuditEntry, AuditExportLine, AuditQuery, AuditTarget, AuditVerification, PageRequest};
use hive_core::{Error, Subscription};
use serde::Deserialize;
use serde_json::Value;

use super::{ApiResult, CreatedResult, created, ok, paged};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path, Query};

/// A record that the caller writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditLogCreate {
    action: String,
    target: AuditTarget,
    #[serde(default)]
    details: Value,
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(query): Query<AuditQuery>,
    Query(page): Query<PageRequest>,
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
