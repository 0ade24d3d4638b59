//! What satellites report of commands: from the satellite that was given the command only.

use std::sync::Arc;

use bytes::Bytes;
use hive_wire::agent::{Channel, CommandResult, ErrorBody, ToAgent};
use hive_wire::api::{CommandEnd, CommandStatus};
use hive_wire::{CommandId, ErrorCode, SatelliteId};
use tracing::debug;

use super::Commands;
use super::links::CommandLink;
use crate::audit::draft::Subject;
use crate::links::protocol_violation;
use crate::links::unexpected::UnexpectedKind;
use crate::satellites::reported_text::{cut, known_error};
use crate::store::{CommandOutcome, CommandRow};
use crate::{Error, Result};

impl Commands {
    /// Notes that a command runs. False where the satellite was not given it.
    pub(crate) fn on_start(self: &Arc<Self>, link: &CommandLink, id: CommandId) -> bool {
        let Some(meta) = self.in_flight.meta(id, link.satellite()) else { return false };
        self.note_start(id);
        self.report_status(id, &meta, CommandStatus::Started, None);
        true
    }

    /// Checks that a stream of output begins where its command's output ends. False where the satellite was not given the
    /// command: the stream is not refused, because the command may have ended here while the message was on its way.
    pub(crate) fn on_stream_open(
        &self,
        satellite: SatelliteId,
        id: CommandId,
        channel: &Channel,
        offset: u64,
    ) -> Result<bool> {
        if self.in_flight.meta(id, satellite).is_none() {
            return Ok(false);
        }
        let has_gap = match (self.in_flight.received(id), channel) {
            (Some(received), Channel::Stdout) => offset > received.stdout,
            (Some(received), Channel::Stderr) => offset > received.stderr,
            _ => false,
        };
        if has_gap { Err(protocol_violation("stream begins behind what was received")) } else { Ok(true) }
    }

    /// Buffers output. Returns whether it is to be stored now: then [`store_output`](Self::store_output) stores it.
    pub(crate) fn on_output(
        self: &Arc<Self>,
        satellite: SatelliteId,
        id: CommandId,
        channel: &Channel,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<bool> {
        if self.in_flight.meta(id, satellite).is_none() {
            // The command was ended meanwhile (removed, overdue): its output is dropped.
            return Ok(false);
        }
        self.in_flight.note_heard(id, self.context.steady());
        let is_full = self.in_flight.add_output(id, channel, offset, bytes).map_err(protocol_violation)?;
        self.spill_if_over_limit();
        Ok(is_full)
    }

    /// Returns whether buffered output of a stream is to be stored now.
    pub(crate) fn has_full_chunk(&self, id: CommandId, channel: &Channel) -> bool {
        self.in_flight.has_full_chunk(id, channel)
    }

    /// Stores the buffered output of a stream, if it is to be stored now. Returns the offset up to which it is stored by that.
    pub(crate) async fn store_output(&self, id: CommandId, channel: &Channel) -> Result<Option<u64>> {
        let Some((offset, chunk)) = self.in_flight.full_chunk(id, channel) else { return Ok(None) };
        let end = offset + chunk.len() as u64;
        let retry = self.context.retry_window();
        loop {
            // An attempt that seemed to fail may have stored the chunk. The store skips bytes that it has.
            let stored = self.store.command_output_append(id, channel.clone(), offset, chunk.clone()).await;
            let stored = stored.map_err(Error::from);
            if !retry.should_retry(&stored).await {
                stored?;
                break;
            }
        }
        self.in_flight.note_stored(id, channel, end);
        Ok(Some(end))
    }

    /// Stores a result, and acknowledges it once it is stored.
    pub(crate) async fn on_result(self: &Arc<Self>, link: &CommandLink, result: CommandResult) -> Result<()> {
        let (id, satellite) = (result.id, link.satellite());
        match self.in_flight.meta(id, satellite) {
            // No end: the command goes back to the queue, and the acknowledgement below makes the satellite drop it.
            Some(_) if is_for_want_of_room(&result) => self.on_busy(link, id).await?,
            Some(meta) => {
                let outcome = self.outcome(result)?;
                match self.finish(id, &meta, outcome.clone()).await {
                    Err(Error::Unavailable(_)) => {
                        self.finish_later(id, meta, outcome, link.clone());
                        return Ok(());
                    }
                    finished => finished?,
                }
            }
            // Ended before, here or by another process: the satellite may drop it. Results of other satellites' commands are
            // not accepted.
            None => {
                self.count_not_in_flight(satellite, id)?;
                let row = self.store.command_get(id).await.map_err(Error::from);
                // Without an acknowledgement the satellite keeps the result, until the row can be read again.
                let Some(row) = self.pass_over_unreadable(link, id, row)? else { return Ok(()) };
                match row {
                    Some(row) if row.satellite_id == satellite && row.status.is_terminal() => {}
                    row => return self.note_foreign(satellite, id, row.as_ref()),
                }
            }
        }
        if link.handle.send(ToAgent::ResultAck { id }).is_err() {
            debug!(satellite.id = %satellite, "link takes no more messages");
        }
        Ok(())
    }

    /// Checks a result against what was received.
    fn outcome(&self, result: CommandResult) -> Result<CommandOutcome> {
        let (id, status, sent) = (result.id, result.status.clone(), result.sent);
        if !status.is_terminal() {
            return Err(protocol_violation("result without an end"));
        }
        // A satellite sends all output before the result (`ToServer::CommandResult`).
        if self.in_flight.received(id) != Some(sent) {
            return Err(protocol_violation("result before all of its output"));
        }
        let reported = CommandEnd::from(result);
        // Older satellites send the code of the signal that ended it.
        let exit_code = reported.exit_code.filter(|_| status != CommandStatus::TimedOut);
        let (status, error) = known_end(status, reported.error.map(known_error));
        Ok(CommandOutcome {
            status,
            end: CommandEnd { exit_code, error, ..reported },
            finished_at: self.context.now(),
            output: self.in_flight.buffered(id),
        })
    }

    /// Counts a message about a command that is not in flight, before the command is read from the store: a flood of such
    /// messages costs a bounded number of reads.
    ///
    /// # Errors
    /// `InvalidInput` where these are too many: the link is to be closed.
    fn count_not_in_flight(&self, satellite: SatelliteId, id: CommandId) -> Result<()> {
        self.presence.note_unexpected(satellite, UnexpectedKind::NotInFlight, id, self.context.steady())
    }

    /// Notes a message about a command that does not run on its satellite. One about a command that has ended is fine.
    pub(crate) async fn note_unknown(&self, satellite: SatelliteId, id: CommandId) -> Result<()> {
        self.count_not_in_flight(satellite, id)?;
        // A command that cannot be read now is not held against the satellite.
        let Ok(row) = self.store.command_get(id).await else { return Ok(()) };
        self.note_foreign(satellite, id, row.as_ref())
    }

    /// The same with the row of the command.
    fn note_foreign(&self, satellite: SatelliteId, id: CommandId, row: Option<&CommandRow>) -> Result<()> {
        if row.is_some_and(|row| row.satellite_id == satellite) {
            return Ok(());
        }
        if row.is_some() {
            self.auth_failures.note_foreign_message(satellite, Subject::of_type("command", id));
        }
        self.presence.note_unexpected(satellite, UnexpectedKind::Command, id, self.context.steady())
    }
}

/// Returns whether an older satellite, which knows no `busy`, refuses a command for want of room. It has not journalled the
/// command, and drops it once this is acknowledged.
fn is_for_want_of_room(result: &CommandResult) -> bool {
    let is_refusal = result.status == CommandStatus::Failed && result.exit_code.is_none();
    is_refusal && result.error.as_ref().is_some_and(|error| error.code == ErrorCode::RateLimited)
}

/// An end as it is stored. Whether a command with a status of a newer version did its work cannot be told.
fn known_end(status: CommandStatus, error: Option<ErrorBody>) -> (CommandStatus, Option<ErrorBody>) {
    let CommandStatus::Unknown(word) = status else { return (status, error) };
    let mut message = format!("the satellite says it ended as {:?}", cut(word.into_string()));
    if let Some(error) = error {
        message = format!("{message}: {}", error.message);
    }
    (CommandStatus::OutcomeUnknown, Some(ErrorBody { code: ErrorCode::Internal, message: cut(message) }))
}
