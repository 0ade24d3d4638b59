//! The audit trail.

use axum::body::{Body as Stream, Bytes};
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use hive_core::wire::AuditId;
use hive_core::wire::api::{AuditEntry, AuditExportLine, AuditQuery, AuditTarget, AuditVerification};
use hive_core::{AuditLogger, Error, Subscription};
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Created, created, ok, page};
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::{Body, Paging, Pairs, Path};
use crate::state::AppState;

/// `actor`, `action`, `satellite_id`, `since`, `until`.
pub(super) struct Filter(AuditQuery);

impl FromRequestParts<AppState> for Filter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let query = Pairs::from_request_parts(parts, state).await?;
        Ok(Self(AuditQuery {
            actor: query.text("actor").map(str::to_owned),
            action: query.text("action").map(str::to_owned),
            satellite_id: query.value("satellite_id")?,
            since: query.value("since")?,
            until: query.value("until")?,
        }))
    }
}

/// A record of the caller's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    action: String,
    target: AuditTarget,
    #[serde(default)]
    details: Value,
}

pub(super) async fn list(
    Caller(hive): Caller,
    Filter(query): Filter,
    Paging(wanted): Paging,
) -> Answer<Vec<AuditEntry>> {
    let found = hive.query(query, wanted).await?;
    Ok(page(found))
}

pub(super) async fn log(Caller(hive): Caller, Body(note): Body<Note>) -> Created<AuditEntry> {
    let entry = hive.log(note.action, note.target, note.details).await?;
    Ok(created(entry))
}

pub(super) async fn get(Caller(hive): Caller, Path(id): Path<AuditId>) -> Answer<AuditEntry> {
    let found = hive.entry(id).await?;
    Ok(ok(found.ok_or_else(|| Error::NotFound { what: "audit record", id: id.to_string() })?))
}

pub(super) async fn verify(Caller(hive): Caller) -> Answer<AuditVerification> {
    let verification = hive.verify().await?;
    Ok(ok(verification))
}

pub(super) async fn export(Caller(hive): Caller) -> Result<Response, Failure> {
    let lines = hive.export().await?;
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((headers, export_body(lines)).into_response())
}

/// How far an export is.
enum Export {
    Running(Subscription<AuditExportLine>),
    Complete,
}

/// The lines of an export. Where the hive gives up before the manifest, the connection breaks, so that nobody takes the
/// part for the whole.
fn export_body(lines: Subscription<AuditExportLine>) -> Stream {
    Stream::from_stream(try_unfold(Export::Running(lines), async |export| {
        let Export::Running(mut lines) = export else { return Ok(None) };
        let Some(line) = lines.next().await else {
            return Err("the export ended early");
        };
        let mut bytes = serde_json::to_vec(&line).map_err(|_| "the export holds a line that cannot be written")?;
        bytes.push(b'\n');
        let is_last = matches!(line, AuditExportLine::Manifest { .. });
        let next = if is_last { Export::Complete } else { Export::Running(lines) };
        Ok(Some((Bytes::from(bytes), next)))
    }))
}
