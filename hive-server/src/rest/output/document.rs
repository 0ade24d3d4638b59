//! A JSON document in parts: text that is written already, and output that is read while the response is sent.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use hive_core::commands::OutputReader;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::OutputEncoding;
use hive_core::{Error, Result};
use serde::Serialize;

use super::encoder::OutputEncoder;
use super::object::ObjectSerializer;

/// A document that is being written.
#[derive(Default)]
pub(super) struct Document {
    parts: VecDeque<Part>,
    /// Text behind the last part.
    text: Vec<u8>,
}

/// A part of a response body.
pub(super) enum Part {
    /// Text that is written already.
    Text(Bytes),
    /// The inside of a JSON string.
    Encoded { output: OutputReader, channel: Channel, next: u64, encoder: OutputEncoder },
    /// Bytes as they are.
    Raw { output: OutputReader, channel: Channel, next: u64, end: u64 },
}

impl Document {
    /// Writes a successful response, its data by `write_data`. The envelope is that of `hive_wire::api::Envelope`, written
    /// by hand because its data is a stream.
    pub(super) fn in_envelope(
        write_data: impl FnOnce(&mut Self) -> serde_json::Result<()>,
    ) -> serde_json::Result<Response> {
        let mut document = Self::default();
        document.raw(r#"{"success":true,"data":"#);
        write_data(&mut document)?;
        document.raw("}");
        Ok(document.into_response())
    }

    /// Writes text as it is.
    pub(super) fn raw(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// Writes a value as JSON.
    pub(super) fn value(&mut self, value: &(impl Serialize + ?Sized)) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.text, value)
    }

    /// Writes a value that is an object, with `output` for its fields `stdout` and `stderr`.
    pub(super) fn object(
        &mut self,
        value: &impl Serialize,
        output: &OutputReader,
        encoding: OutputEncoding,
    ) -> serde_json::Result<()> {
        value.serialize(ObjectSerializer::new(self, output, encoding))
    }

    /// Writes output as a JSON string.
    pub(super) fn string(&mut self, output: &OutputReader, channel: Channel, encoding: OutputEncoding) {
        self.raw("\"");
        self.parts.push_back(Part::Text(std::mem::take(&mut self.text).into()));
        let encoder = OutputEncoder::new(encoding);
        self.parts.push_back(Part::Encoded { output: output.clone(), channel, next: 0, encoder });
        self.raw("\"");
    }

    fn into_response(mut self) -> Response {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        if self.parts.is_empty() {
            // The common case: all output is small and written already. Such a response has a Content-Length.
            return (headers, self.text).into_response();
        }
        self.parts.push_back(Part::Text(self.text.into()));
        (headers, body(self.parts)).into_response()
    }
}

/// Streams the parts. If output cannot be read, the connection is broken off, so that a client cannot take a part of the
/// response for the whole.
pub(super) fn body(parts: VecDeque<Part>) -> Body {
    Body::from_stream(try_unfold(parts, async |mut parts: VecDeque<Part>| {
        loop {
            let Some(part) = parts.pop_front() else { return Ok::<_, Error>(None) };
            let (bytes, rest) = part.next_bytes().await?;
            if let Some(rest) = rest {
                parts.push_front(rest);
            }
            // Empty chunks are skipped: in chunked encoding an empty chunk ends the body.
            if !bytes.is_empty() {
                return Ok(Some((bytes, parts)));
            }
        }
    }))
}

impl Part {
    /// Returns the next bytes, and what is left of the part.
    async fn next_bytes(self) -> Result<(Bytes, Option<Self>)> {
        match self {
            Self::Text(text) => Ok((text, None)),
            Self::Encoded { output, channel, next, mut encoder } => {
                // By offset, so that output that moves from memory to the database meanwhile is read once.
                let bytes = output.read(channel.clone(), next).await?;
                if bytes.is_empty() {
                    return Ok((encoder.finish().into(), None));
                }
                let text = encoder.push(&bytes).into();
                let next = next + bytes.len() as u64;
                Ok((text, Some(Self::Encoded { output, channel, next, encoder })))
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
