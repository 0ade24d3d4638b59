//! Answers with the output of commands in them, written while it is read: none of them is ever in memory as a whole.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use hive_core::hive::{CommandReport, ExecReport, OutputReader};
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{Envelope, OutputEncoding};
use hive_core::{Error, Result};
use serde::Serialize;

use super::text::TextPieces;

/// Where output stands in what has none yet. A quote within a text is written with a backslash, so that no text looks so.
const WITHOUT_OUTPUT: &str = r#""stdout":"","stderr":"""#;

/// One result.
pub(super) fn report(report: ExecReport, encoding: OutputEncoding) -> Response {
    let mut document = Document::default();
    document.enveloped(|document| document.report(&report, encoding));
    document.answer()
}

/// Many results, as one list.
pub(super) fn reports(reports: &[ExecReport], encoding: OutputEncoding) -> Response {
    let mut document = Document::default();
    document.enveloped(|document| {
        document.text("[");
        for (number, report) in reports.iter().enumerate() {
            document.text(if number == 0 { "" } else { "," });
            document.report(report, encoding);
        }
        document.text("]");
    });
    document.answer()
}

/// A command as it stands.
pub(super) fn command(command: CommandReport, encoding: OutputEncoding) -> Response {
    let CommandReport { info, output } = command;
    let mut document = Document::default();
    document.enveloped(|document| document.with_output(&info, Some(&output), encoding));
    document.answer()
}

/// One output as it is, `limit` bytes of it at most. `from` is behind what the caller has.
pub(super) fn raw(output: OutputReader, channel: Channel, from: u64, limit: u64) -> Response {
    let part = Part::Raw { output, channel, next: from, end: from.saturating_add(limit) };
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))];
    (headers, body(VecDeque::from([part]))).into_response()
}

/// A JSON document that is still to be written.
#[derive(Default)]
struct Document {
    parts: VecDeque<Part>,
    /// Text that goes before the next part.
    text: String,
}

/// What a body goes on with.
enum Part {
    Text(String),
    Output { output: OutputReader, channel: Channel, next: u64, text: TextPieces },
    Raw { output: OutputReader, channel: Channel, next: u64, end: u64 },
}

impl Document {
    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Puts what is written into the envelope of a successful answer.
    fn enveloped(&mut self, write: impl FnOnce(&mut Self)) {
        let envelope = serde_json::to_string(&Envelope::new(())).unwrap_or_default();
        let (before, behind) = envelope.split_once("null").unwrap_or_default();
        self.text(before);
        write(self);
        self.text(behind);
    }

    fn report(&mut self, report: &ExecReport, encoding: OutputEncoding) {
        self.with_output(&report.result, report.rest(), encoding);
    }

    /// Writes a thing, and its output where it has none in it.
    fn with_output(&mut self, thing: &impl Serialize, rest: Option<&OutputReader>, encoding: OutputEncoding) {
        let thing = serde_json::to_string(thing).unwrap_or_default();
        let (Some(output), Some((before, behind))) = (rest, thing.split_once(WITHOUT_OUTPUT)) else {
            self.text(&thing);
            return;
        };
        self.text(before);
        self.text(r#""stdout":""#);
        self.output(output, Channel::Stdout, encoding);
        self.text(r#"","stderr":""#);
        self.output(output, Channel::Stderr, encoding);
        self.text("\"");
        self.text(behind);
    }

    fn output(&mut self, output: &OutputReader, channel: Channel, encoding: OutputEncoding) {
        self.parts.push_back(Part::Text(std::mem::take(&mut self.text)));
        let text = TextPieces::new(encoding);
        self.parts.push_back(Part::Output { output: output.clone(), channel, next: 0, text });
    }

    fn answer(mut self) -> Response {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        if self.parts.is_empty() {
            // The common case: nothing is left to be read.
            return (headers, self.text).into_response();
        }
        self.parts.push_back(Part::Text(self.text));
        (headers, body(self.parts)).into_response()
    }
}

/// Writes one part after the other. Where output cannot be read the connection breaks, so that nobody takes the part for
/// the whole.
fn body(parts: VecDeque<Part>) -> Body {
    Body::from_stream(try_unfold(parts, async |mut parts: VecDeque<Part>| {
        loop {
            let Some(part) = parts.pop_front() else { return Ok::<_, Error>(None) };
            let (bytes, rest) = part.write().await?;
            if let Some(rest) = rest {
                parts.push_front(rest);
            }
            if !bytes.is_empty() {
                return Ok(Some((bytes, parts)));
            }
        }
    }))
}

impl Part {
    /// The next bytes, and what goes on after them.
    async fn write(self) -> Result<(Bytes, Option<Self>)> {
        match self {
            Self::Text(text) => Ok((text.into(), None)),
            Self::Output { output, channel, next, mut text } => {
                let bytes = output.read(channel.clone(), next).await?;
                if bytes.is_empty() {
                    return Ok((text.finish().into(), None));
                }
                let written = text.push(&bytes).into();
                let next = next + bytes.len() as u64;
                Ok((written, Some(Self::Output { output, channel, next, text })))
            }
            Self::Raw { output, channel, next, end } => {
                let mut bytes = output.read(channel.clone(), next).await?;
                bytes.truncate((end - next).try_into().unwrap_or(usize::MAX));
                let next = next + bytes.len() as u64;
                let is_last = bytes.is_empty() || next >= end;
                Ok((bytes, (!is_last).then_some(Self::Raw { output, channel, next, end })))
            }
        }
    }
}
