//! What became of a command, with its output or with a way to it. A large output is in no answer: it is read piece by piece.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::CommandId;
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::{ExecResult, OutputEncoding, TargetStatus};

use super::in_flight::{Finished, Place, Progress};
use crate::hive::Hive;
use crate::router::{ExecReport, OutputReader, OutputSource, encode};
use crate::store::{CommandOutcome, CommandRow, JobTargetRow};
use crate::{Error, Result};

/// Output of both streams together that an answer has in it.
const INLINE: u64 = 64 * 1024;
/// Output read from the store at a time.
const READ_AT_ONCE: usize = 256 * 1024;

/// How often is looked whether a satellite is back that has a command one waits for.
const RETURN_INTERVAL: Duration = Duration::from_millis(50);

/// Why something could not be done, as answers say it.
pub(crate) fn reason(error: &Error) -> ErrorBody {
    ErrorBody { code: error.code(), message: error.to_string() }
}

/// The output of a command of this hive: held in memory, or stored.
#[derive(Debug)]
pub(crate) struct StoredOutput {
    hive: Hive,
    id: CommandId,
}

impl StoredOutput {
    pub(crate) fn new(hive: &Hive, id: CommandId) -> Self {
        Self { hive: hive.clone(), id }
    }
}

#[async_trait]
impl OutputSource for StoredOutput {
    async fn read(&self, channel: Channel, from: u64) -> Result<Bytes> {
        self.hive.output_from(self.id, channel, from, READ_AT_ONCE).await
    }
}

/// How a command stands: its end, or how far it is.
pub(crate) struct Standing {
    /// Without output.
    pub(crate) result: ExecResult,
    len: Received,
    finished: Option<Arc<Finished>>,
}

impl Hive {
    /// Waits for a command's end, `timeout` long, and tells how it then stands.
    pub(crate) async fn standing(&self, id: CommandId, place: &Place, timeout: Duration) -> Result<Standing> {
        let end = tokio::select! {
            end = tokio::time::timeout(timeout, self.end_of(id)) => end.unwrap_or(Ok(None))?,
            () = self.inner.shutdown.cancelled() => {
                return Err(Error::unavailable("the server stops; the command goes on"));
            }
        };
        if let Some(end) = end
            && let Some(finished) = end.finished
            && let Some(outcome) = &finished.outcome
        {
            let result = ended(id, place, outcome);
            return Ok(Standing { result, len: end.received, finished: Some(finished) });
        }
        let row = self.store().command_get(id).await?;
        let row = row.ok_or_else(|| Error::NotFound { what: "command", id: id.to_string() })?;
        let len = match self.inner.running.received(id) {
            Some(received) => received,
            None => self.store().command_output_len(id).await?,
        };
        Ok(Standing { result: stored(place, row), len, finished: None })
    }

    /// Waits until a command has ended, `timeout` long; returns whether it has.
    pub(crate) async fn ends_within(&self, id: CommandId, timeout: Duration) -> bool {
        let Some(mut progress) = self.inner.running.follow(id) else { return true };
        let end = progress.wait_for(|progress| progress.finished.is_some());
        tokio::time::timeout(timeout, end).await.is_ok()
    }

    /// Waits until a command has ended; how, where that is known from here. Whoever asks again for a command of before a
    /// restart may be here before its satellite is: that is waited for as well.
    async fn end_of(&self, id: CommandId) -> Result<Option<Progress>> {
        loop {
            if let Some(mut progress) = self.inner.running.follow(id) {
                let end = progress.wait_for(|progress| progress.finished.is_some()).await;
                return Ok(end.ok().map(|end| end.clone()));
            }
            let row = self.store().command_get(id).await?;
            if row.is_none_or(|row| row.status.is_terminal()) {
                return Ok(None);
            }
            tokio::time::sleep(RETURN_INTERVAL).await;
        }
    }

    /// Puts the output of a command into its report, unless it is large.
    pub(crate) async fn report(
        &self,
        id: CommandId,
        standing: Standing,
        encoding: OutputEncoding,
    ) -> Result<ExecReport> {
        let Standing { mut result, len, finished } = standing;
        let rest = OutputReader::new(StoredOutput::new(self, id));
        if len.stdout + len.stderr > INLINE {
            return Ok(ExecReport::new(result, Some(rest), encoding));
        }
        let outcome = finished.as_ref().and_then(|finished| finished.outcome.as_ref());
        for (channel, len, text) in
            [(Channel::Stdout, len.stdout, &mut result.stdout), (Channel::Stderr, len.stderr, &mut result.stderr)]
        {
            *text = match outcome.and_then(|outcome| held(outcome, &channel, len)) {
                Some(bytes) => encode(bytes, encoding),
                None if len == 0 => String::new(),
                None => encode(&rest.read_all(channel, usize::MAX).await?, encoding),
            };
        }
        Ok(ExecReport::new(result, None, encoding))
    }

    /// What became of a job's target.
    pub(crate) fn target_report(&self, row: JobTargetRow, encoding: OutputEncoding) -> ExecReport {
        let is_silent = row.finished_at.is_some() && row.stdout_bytes == 0 && row.stderr_bytes == 0;
        let rest = row.command_id.filter(|_| !is_silent).map(|id| OutputReader::new(StoredOutput::new(self, id)));
        let result = ExecResult {
            satellite_id: row.satellite_id,
            satellite_name: row.satellite_name,
            command_id: row.command_id,
            status: row.status,
            exit_code: row.exit_code,
            stdout: String::new(),
            stderr: String::new(),
            duration_ms: row.duration_ms.unwrap_or(0),
            truncated: row.truncated,
            error: row.error,
        };
        ExecReport::new(result, rest, encoding)
    }

    /// Returns some output of one stream from an offset on, held or stored; empty where there is no more.
    pub(crate) async fn output_from(&self, id: CommandId, channel: Channel, from: u64, limit: usize) -> Result<Bytes> {
        match self.inner.running.output(id, &channel, from) {
            Some(held) => Ok(held),
            None => Ok(self.store().command_output(id, channel, from, limit).await?),
        }
    }
}

/// All output of one stream, where the outcome still holds it.
fn held<'a>(outcome: &'a CommandOutcome, channel: &Channel, len: u64) -> Option<&'a Bytes> {
    let (.., bytes) = outcome.output.iter().find(|(of, offset, _)| of == channel && *offset == 0)?;
    (bytes.len() as u64 == len).then_some(bytes)
}

fn ended(id: CommandId, place: &Place, outcome: &CommandOutcome) -> ExecResult {
    ExecResult {
        satellite_id: place.satellite,
        satellite_name: place.name.clone(),
        command_id: Some(id),
        status: TargetStatus::Command(outcome.status.clone()),
        exit_code: outcome.exit_code,
        stdout: String::new(),
        stderr: String::new(),
        duration_ms: outcome.duration_ms.unwrap_or(0),
        truncated: outcome.truncated,
        error: outcome.error.clone(),
    }
}

fn stored(place: &Place, row: CommandRow) -> ExecResult {
    ExecResult {
        satellite_id: place.satellite,
        satellite_name: place.name.clone(),
        command_id: Some(row.id),
        status: TargetStatus::Command(row.status),
        exit_code: row.exit_code,
        stdout: String::new(),
        stderr: String::new(),
        duration_ms: row.duration_ms.unwrap_or(0),
        truncated: row.truncated,
        error: row.error,
    }
}
