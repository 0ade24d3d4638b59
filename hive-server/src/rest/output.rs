//! Responses with the output of commands. Output is written while it is read, so that a large one is never in memory as a
//! whole.

mod document;
mod encoder;
mod object;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hive_core::commands::{CommandReport, ExecReport, OutputReader};
use hive_core::wire::agent::Channel;
use hive_core::wire::api::OutputEncoding;
use hive_core::{Error, Result};

use self::document::{Document, Part, body};

/// One result.
pub(super) fn report(report: &ExecReport, encoding: OutputEncoding) -> Result<Response> {
    Document::in_envelope(|document| write_report(document, report, encoding)).map_err(Error::internal)
}

/// Several results, as one list.
pub(super) fn reports(reports: &[ExecReport], encoding: OutputEncoding) -> Result<Response> {
    let write = |document: &mut Document| {
        document.raw("[");
        for (number, report) in reports.iter().enumerate() {
            document.raw(if number == 0 { "" } else { "," });
            write_report(document, report, encoding)?;
        }
        document.raw("]");
        Ok(())
    };
    Document::in_envelope(write).map_err(Error::internal)
}

/// A stored command and its output so far.
pub(super) fn command(command: &CommandReport, encoding: OutputEncoding) -> Result<Response> {
    let CommandReport { info, output, .. } = command;
    Document::in_envelope(|document| document.object(info, output, encoding)).map_err(Error::internal)
}

/// The bytes of one output from an offset on, at most `limit`.
pub(super) fn raw(output: OutputReader, channel: Channel, offset: u64, limit: u64) -> Response {
    // Saturating: without a limit `limit` is the largest number.
    let part = Part::Raw { output, channel, next: offset, end: offset.saturating_add(limit) };
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))];
    (headers, body([part].into())).into_response()
}

fn write_report(document: &mut Document, report: &ExecReport, encoding: OutputEncoding) -> serde_json::Result<()> {
    match report.rest.as_ref() {
        Some(output) => document.object(&report.result, output, encoding),
        None => document.value(&report.result),
    }
}
