//! The result of a command whose output may be too large for memory: the result itself, and a reader of the rest.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use hive_wire::agent::Channel;
use hive_wire::api::{CommandInfo, ExecResult, OutputEncoding};

use crate::{Error, Result};

/// Reads the output of one command.
#[async_trait]
pub trait OutputSource: std::fmt::Debug + Send + Sync {
    /// Reads some output from a byte on, a mebibyte at most. Empty where there is no more, or none yet.
    async fn read(&self, channel: Channel, from: u64) -> Result<Bytes>;
}

/// Reads the output of a command in pieces. The permission was checked when the reader was made.
#[derive(Debug, Clone)]
pub struct OutputReader {
    source: Arc<dyn OutputSource>,
}

impl OutputReader {
    /// Returns a reader of a source.
    pub fn new(source: impl OutputSource + 'static) -> Self {
        Self { source: Arc::new(source) }
    }

    /// Reads some output from a byte on, a mebibyte at most. Empty where there is no more, or none yet.
    pub async fn read(&self, channel: Channel, from: u64) -> Result<Bytes> {
        self.source.read(channel, from).await
    }

    /// Reads all output of a channel, and not more than `limit` bytes of it.
    pub async fn read_all(&self, channel: Channel, limit: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        loop {
            let piece = self.read(channel.clone(), all.len() as u64).await?;
            all.extend_from_slice(&piece);
            if piece.is_empty() || all.len() >= limit {
                all.truncate(limit);
                return Ok(all.freeze());
            }
        }
    }
}

/// The result of a command, with small output inline and a reader for large output.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExecReport {
    /// The result. `stdout` and `stderr` are empty where there is a reader.
    pub result: ExecResult,
    /// Reads the output that is too large for the result.
    pub rest: Option<OutputReader>,
    encoding: OutputEncoding,
}

impl ExecReport {
    /// Returns a report whose output is in the result, or is left to `rest`, which is then encoded as `encoding`.
    pub fn new(result: ExecResult, rest: Option<OutputReader>, encoding: OutputEncoding) -> Self {
        Self { result, rest, encoding }
    }

    /// Returns the result with all of its output.
    pub async fn into_result(self) -> Result<ExecResult> {
        self.into_result_with(usize::MAX).await
    }

    /// Returns the result with the first `limit` bytes of each output.
    pub(crate) async fn into_result_with(mut self, limit: usize) -> Result<ExecResult> {
        if let Some(rest) = self.rest {
            self.result.stdout = encode(&rest.read_all(Channel::Stdout, limit).await?, self.encoding);
            self.result.stderr = encode(&rest.read_all(Channel::Stderr, limit).await?, self.encoding);
        }
        Ok(self.result)
    }
}

/// A stored command and a reader of its output.
#[derive(Debug)]
#[non_exhaustive]
pub struct CommandReport {
    /// The command without its output.
    pub info: CommandInfo,
    /// Reads its output.
    pub output: OutputReader,
}

impl CommandReport {
    /// Returns the report of a command.
    pub fn new(info: CommandInfo, output: OutputReader) -> Self {
        Self { info, output }
    }

    /// Returns the reader of its output.
    ///
    /// # Errors
    /// `Forbidden` where the caller may not read what commands print.
    pub fn readable_output(self) -> Result<OutputReader> {
        if self.info.redacted {
            return Err(Error::Forbidden("commands.read".into()));
        }
        Ok(self.output)
    }

    /// Returns the command with all of its output so far.
    pub async fn into_info(self, encoding: OutputEncoding) -> Result<CommandInfo> {
        let Self { mut info, output } = self;
        info.stdout = encode(&output.read_all(Channel::Stdout, usize::MAX).await?, encoding);
        info.stderr = encode(&output.read_all(Channel::Stderr, usize::MAX).await?, encoding);
        Ok(info)
    }
}

/// Encodes output for a result.
pub(crate) fn encode(bytes: &[u8], encoding: OutputEncoding) -> String {
    match encoding {
        OutputEncoding::Lossy => String::from_utf8_lossy(bytes).into_owned(),
        OutputEncoding::Base64 => BASE64.encode(bytes),
    }
}
