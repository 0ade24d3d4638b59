//! What became of a command, with its output or with a reader of it. A large output is in no answer: it is read piece by piece.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{Channel, Received};
use hive_wire::api::{CommandEnd, CommandInfo, CommandStatus, ExecResult, OutputEncoding, TargetStatus};
use hive_wire::{CommandId, ErrorCode};
use tokio::sync::watch;

use super::Commands;
use super::in_flight::{CommandProgress, FinishedCommand, SatelliteRef, WatchedCommand};
use crate::access::Principal;
use crate::commands::{CommandReport, ExecReport, OutputReader, OutputSource, encode};
use crate::redaction::{may_read, redact_command};
use crate::store::{CommandOutcome, CommandRow, JobTargetRow};
use crate::{Error, Result};

/// Output of both streams together that an answer has in it.
const INLINE: u64 = 64 * 1024;
/// Output read from the store at a time.
const READ_AT_ONCE: usize = 256 * 1024;

/// Commands that are looked for in the store at once.
const CHECKED_AT_ONCE: usize = 500;

/// Output of each stream that an error carries.
const MAX_ERROR_OUTPUT: usize = 1024 * 1024;

/// The output of a command of this hive: buffered in memory, or stored.
#[derive(Debug)]
struct HiveOutput {
    commands: Arc<Commands>,
    id: CommandId,
}

#[async_trait]
impl OutputSource for HiveOutput {
    async fn read(&self, channel: Channel, from: u64) -> Result<Bytes> {
        self.commands.output_from(self.id, channel, from, READ_AT_ONCE).await
    }
}

/// The output of a command whose output the caller may not read.
#[derive(Debug)]
struct NoOutput;

#[async_trait]
impl OutputSource for NoOutput {
    async fn read(&self, _: Channel, _: u64) -> Result<Bytes> {
        Ok(Bytes::new())
    }
}

/// A command at one moment: its end, or how far it is.
pub(crate) struct CommandSnapshot {
    /// Without output.
    pub(crate) result: ExecResult,
    len: Received,
    finished: Option<Arc<FinishedCommand>>,
}

impl Commands {
    /// Waits for a command's end up to a timeout, and returns how it is then.
    pub(crate) async fn snapshot(
        &self,
        id: CommandId,
        satellite: &SatelliteRef,
        timeout: Duration,
    ) -> Result<CommandSnapshot> {
        let end = tokio::select! {
            // A timeout is no error: the row tells how far the command is.
            end = tokio::time::timeout(timeout, self.end_of(id)) => end.unwrap_or(Ok(None))?,
            () = self.context.shutdown().cancelled() => {
                return Err(Error::unavailable("the server stops; the command goes on"));
            }
        };
        if let Some(end) = end
            && let Some(finished) = end.finished
            && let Some(outcome) = &finished.outcome
        {
            let result = without_output(id, satellite, outcome.status.clone(), outcome.end.clone());
            return Ok(CommandSnapshot { result, len: end.received, finished: Some(finished) });
        }
        let row = self.store.command_get(id).await?;
        let row = row.ok_or_else(|| Error::NotFound { what: "command", id: id.to_string() })?;
        // The store does not have what is still buffered.
        let len = match self.in_flight.received(id) {
            Some(received) => received,
            None => self.store.command_output_len(id).await?,
        };
        Ok(CommandSnapshot { result: without_output(id, satellite, row.status, row.end), len, finished: None })
    }

    /// Waits until a command has ended. Returns its end where this process saw it.
    async fn end_of(&self, id: CommandId) -> Result<Option<CommandProgress>> {
        let Some(mut progress) = self.follow_when_in_flight(id).await? else { return Ok(None) };
        let end = progress.wait_for(|progress| progress.finished.is_some()).await;
        Ok(end.ok().map(|end| end.clone()))
    }

    /// Follows a command once it is in flight; `None` where it has ended before. After a restart, a call may come before the
    /// satellite has reconnected.
    pub(super) async fn follow_when_in_flight(
        &self,
        id: CommandId,
    ) -> Result<Option<watch::Receiver<CommandProgress>>> {
        loop {
            let mut absent = match self.in_flight.watch(id) {
                WatchedCommand::InFlight(progress) => return Ok(Some(progress)),
                WatchedCommand::Absent(absent) => absent,
            };
            // Read after this waits: an end that is stored from now on wakes it.
            let row = self.store.command_get(id).await?;
            if row.is_none_or(|row| row.status.is_terminal()) || absent.changed().await {
                return Ok(None);
            }
        }
    }

    /// Looks in the store whether commands have ended for which somebody waits, and that are not in flight here. It reads once for
    /// all of them.
    pub(crate) async fn check_absent(&self) -> Result<()> {
        for ids in self.in_flight.absent().chunks(CHECKED_AT_ONCE) {
            let open: HashSet<_> = self.store.command_list_unfinished(ids).await?.into_iter().collect();
            for id in ids.iter().filter(|id| !open.contains(id)) {
                self.in_flight.note_absent_ended(*id);
            }
        }
        Ok(())
    }

    /// Returns a reader of a command's output. The permission is checked by the caller.
    pub(crate) fn output_reader(self: &Arc<Self>, id: CommandId) -> OutputReader {
        OutputReader::new(HiveOutput { commands: self.clone(), id })
    }

    /// Returns a stored command with a reader of its output.
    pub(crate) fn command_report(self: &Arc<Self>, principal: &Principal, row: CommandRow) -> CommandReport {
        let output = self.output_reader(row.id);
        let is_readable = may_read(principal, [row.team_id]);
        let mut info = info(row);
        if is_readable {
            return CommandReport::new(info, output);
        }
        redact_command(&mut info);
        CommandReport::new(info, OutputReader::new(NoOutput))
    }

    /// Puts the output of a command into its report, unless it is large.
    pub(crate) async fn report(
        self: &Arc<Self>,
        id: CommandId,
        snapshot: CommandSnapshot,
        encoding: OutputEncoding,
    ) -> Result<ExecReport> {
        let CommandSnapshot { mut result, len, finished } = snapshot;
        let rest = self.output_reader(id);
        if len.stdout + len.stderr > INLINE {
            return Ok(ExecReport::new(result, Some(rest), encoding));
        }
        let outcome = finished.as_ref().and_then(|finished| finished.outcome.as_ref());
        for (channel, len, text) in
            [(Channel::Stdout, len.stdout, &mut result.stdout), (Channel::Stderr, len.stderr, &mut result.stderr)]
        {
            *text = match outcome.and_then(|outcome| retained(outcome, &channel, len)) {
                Some(bytes) => encode(bytes, encoding),
                None if len == 0 => String::new(),
                None => encode(&rest.read_all(channel, usize::MAX).await?, encoding),
            };
        }
        Ok(ExecReport::new(result, None, encoding))
    }

    /// What became of a job's target.
    pub(crate) fn target_report(self: &Arc<Self>, row: JobTargetRow, encoding: OutputEncoding) -> ExecReport {
        // Of many targets most print nothing: no reader is made for them, and none asks the store.
        let has_no_output = row.finished_at.is_some() && row.stdout_bytes == 0 && row.stderr_bytes == 0;
        let rest = row.command_id.filter(|_| !has_no_output).map(|id| self.output_reader(id));
        let JobTargetRow { satellite_id, satellite_name, command_id, status, end, .. } = row;
        let result = ExecResult::without_output(satellite_id, satellite_name, command_id, status, end);
        ExecReport::new(result, rest, encoding)
    }

    /// Returns some output of one stream from an offset on, buffered or stored; empty where there is no more.
    pub(crate) async fn output_from(&self, id: CommandId, channel: Channel, from: u64, limit: usize) -> Result<Bytes> {
        // The buffer first: bytes leave it only when they are stored, so that none is missed between the two.
        match self.in_flight.output(id, &channel, from) {
            Some(buffered) => Ok(buffered),
            None => Ok(self.store.command_output(id, channel, from, limit).await?),
        }
    }
}

/// Returns all output of one stream, where the outcome still has it.
fn retained<'a>(outcome: &'a CommandOutcome, channel: &Channel, len: u64) -> Option<&'a Bytes> {
    let (.., bytes) = outcome.output.iter().find(|(of, offset, _)| of == channel && *offset == 0)?;
    // It has no more than the end of the output where earlier chunks were stored on the way.
    (bytes.len() as u64 == len).then_some(bytes)
}

/// The answer of a call that waited for the command: a timeout and a refusal by the satellite's policy are errors there.
pub(super) async fn into_answer(id: CommandId, report: ExecReport) -> Result<ExecReport> {
    let result = &report.result;
    let is_blocked = result.error.as_ref().is_some_and(|error| error.code == ErrorCode::CommandBlocked);
    match &result.status {
        TargetStatus::Command(CommandStatus::Failed) if is_blocked => {
            let why = result.error.as_ref().map(|error| error.message.clone());
            Err(Error::CommandBlocked(why.unwrap_or_default()))
        }
        // A command that goes on looks the same to a caller who has waited long enough.
        TargetStatus::Command(status) if *status == CommandStatus::TimedOut || !status.is_terminal() => {
            let result = report.into_result_with(MAX_ERROR_OUTPUT).await?;
            Err(Error::CommandTimeout { command: id, result: Some(Box::new(result)) })
        }
        _ => Ok(report),
    }
}

/// A stored command as clients see it, without its output.
pub(super) fn info(row: CommandRow) -> CommandInfo {
    let CommandEnd { exit_code, duration_ms, truncated, error } = row.end;
    CommandInfo {
        id: row.id,
        satellite_id: row.satellite_id,
        command_type: row.command_type,
        summary: row.summary,
        status: row.status,
        exit_code,
        stdout: String::new(),
        stderr: String::new(),
        duration_ms,
        truncated,
        error,
        created_by: row.actor.name,
        created_at: row.created_at,
        expires_at: row.expires_at,
        finished_at: row.finished_at,
        redacted: false,
    }
}

fn without_output(id: CommandId, satellite: &SatelliteRef, status: CommandStatus, end: CommandEnd) -> ExecResult {
    let status = TargetStatus::Command(status);
    ExecResult::without_output(satellite.satellite, satellite.name.clone(), Some(id), status, end)
}
