//! A satellite with a live link: what it says, and what follows from it.

mod handshake;
mod terminals;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hive_wire::agent::{Channel, CommandResult, ErrorBody, Metrics, ToAgent, ToServer};
use hive_wire::api::{AuditResult, AuditTarget, CommandStatus, CommandType, SatelliteEvent, SatelliteStatus};
use hive_wire::frame::{Frame, FrameKind, StreamId};
use hive_wire::stream::Receiver;
use hive_wire::{AuditId, CommandId, ErrorCode, SatelliteId, escape};
use serde_json::json;
use tracing::{debug, info, warn};

use crate::audit::AuditDraft;
use crate::commands::in_flight::Context;
use crate::hive::{Activation, Hive};
use crate::link::Outgoing;
use crate::links::Live;
use crate::links::unexpected::Unexpected;
use crate::sessions::LiveSession;
use crate::store::{CommandOutcome, Seen};
use crate::{Error, Result};

/// Output streams one link may have open.
const MAX_STREAMS: usize = 4096;
/// How long the start of a command waits to be stored together with its end.
const START_DELAY: Duration = Duration::from_millis(20);
/// Problems a satellite may tell of itself; further ones are left out.
const MAX_PROBLEMS: usize = 8;
/// Characters of any text a satellite says about itself or about an error.
const MAX_TEXT: usize = 1024;

/// A satellite with a live link. Dropping it ends the satellite's presence, unless a newer link has taken over.
pub struct Attached {
    hive: Hive,
    satellite: SatelliteId,
    live: Live,
    streams: HashMap<StreamId, Incoming>,
}

/// One stream on its way here.
enum Incoming {
    /// One output of a command.
    Output { command: CommandId, channel: Channel, receiver: Receiver },
    /// The output of a terminal.
    Terminal(Arc<LiveSession>),
    /// A terminal that is none here: what it brings is passed over.
    Stray,
}

impl Hive {
    /// Activates an inactive satellite where a heartbeat is enough for that.
    pub(crate) async fn activate(&self, id: SatelliteId, status: &SatelliteStatus) -> Result<bool> {
        if *status != SatelliteStatus::Inactive || self.settings().activation != Activation::Heartbeat {
            return Ok(false);
        }
        let row = self.store().satellite_get(id).await?;
        let record = AuditDraft {
            id: AuditId::new(self.source().seed()),
            timestamp: self.source().now(),
            actor: satellite_actor(id),
            action: "satellite.activate",
            target: AuditTarget { kind: "satellite".into(), id: id.to_string() },
            team_id: row.and_then(|row| row.team_id),
            details: json!({ "by": "heartbeat" }),
            result: AuditResult::Success,
            error: None,
        };
        Ok(self.store().satellite_activate(id, self.source().now(), record).await?)
    }

    /// Drafts the record of how a command ended.
    pub(crate) fn outcome_record(&self, id: CommandId, context: &Context, outcome: &CommandOutcome) -> AuditDraft {
        let is_success = outcome.status == CommandStatus::Succeeded;
        AuditDraft {
            id: AuditId::new(self.source().seed()),
            timestamp: outcome.finished_at,
            actor: context.actor.clone(),
            action: match context.command_type {
                CommandType::Exec => "satellite.exec",
                CommandType::Power => "satellite.power",
                CommandType::Unknown(_) => "satellite.command",
            },
            target: AuditTarget { kind: "satellite".into(), id: context.satellite.to_string() },
            team_id: context.team,
            details: json!({ "command_id": id, "status": outcome.status, "exit_code": outcome.exit_code }),
            result: if is_success { AuditResult::Success } else { AuditResult::Failure },
            error: outcome.error.as_ref().map(|error| error.message.clone()),
        }
    }
}

impl Attached {
    pub(crate) fn new(hive: Hive, satellite: SatelliteId, live: Live) -> Self {
        Self { hive, satellite, live, streams: HashMap::new() }
    }

    /// Returns which satellite it is.
    pub fn satellite(&self) -> SatelliteId {
        self.satellite
    }

    /// Takes a control message.
    ///
    /// # Errors
    /// `InvalidInput` where the satellite breaks the protocol, others where the hive could not store what it said. Either
    /// way the link is to be closed: with the next one both sides agree anew on what is open.
    pub async fn on_control(&mut self, message: ToServer) -> Result<()> {
        match message {
            ToServer::HeartbeatPong { timestamp: _, metrics, capacity } => self.on_heartbeat(metrics, capacity),
            ToServer::Busy { id } => self.on_busy(id).await?,
            ToServer::CommandAck { id, journal_position } => self.on_ack(id, journal_position).await?,
            ToServer::StreamOpen { stream, command_id, channel, offset } => {
                self.on_stream_open(stream, command_id, channel, offset).await?;
            }
            ToServer::CommandResult(result) => self.on_result(result).await?,
            ToServer::PtyStarted(started) => self.on_pty_started(started).await?,
            ToServer::PtyGap { session_id, from, to } => self.on_pty_gap(session_id, from, to).await?,
            ToServer::PtyApplied { session_id, offset } => self.on_pty_applied(session_id, offset).await?,
            ToServer::PtyEnded { session_id, end } => self.on_pty_ended(session_id, end).await?,
            ToServer::Handshake(_) => return Err(Error::invalid("handshake", "comes once")),
            ToServer::Disconnect { reason } => {
                debug!(satellite.id = %self.satellite, reason = %escape::text(&cut(reason)), "satellite leaves");
            }
            ToServer::Error { error } => {
                let words = cut(error.message);
                self.hive.note_unexpected(self.satellite, Unexpected::ErrorReport, escape::text(&words))?;
            }
            _ => debug!(satellite.id = %self.satellite, "message of a newer version ignored"),
        }
        Ok(())
    }

    /// Takes a piece of data.
    ///
    /// # Errors
    /// As [`on_control`](Self::on_control).
    pub async fn on_frame(&mut self, frame: Frame) -> Result<()> {
        if frame.kind != FrameKind::Data {
            return Ok(());
        }
        let incoming = self.streams.get_mut(&frame.stream);
        match incoming.ok_or_else(|| broken("frame of a stream that is not open"))? {
            Incoming::Terminal(session) => session.on_frame(self.hive.inner.sessions.now(), self.live.epoch, &frame),
            Incoming::Stray => Ok(()),
            Incoming::Output { command, channel, receiver } => {
                let new = receiver.accept(&frame).map_err(broken)?;
                let (command, channel, received) = (*command, channel.clone(), receiver.received());
                self.store_output(command, channel, received - new.len() as u64, &new).await?;
                self.grant(frame.stream, received);
                Ok(())
            }
        }
    }

    /// Lets a command's satellite send on, or forgets the stream where it has ended.
    fn grant(&mut self, stream: StreamId, stored: u64) {
        let Some(Incoming::Output { receiver, .. }) = self.streams.get_mut(&stream) else { return };
        if let Some(limit) = receiver.consumed_to(stored) {
            self.say(ToAgent::StreamCredit { stream, limit });
        } else if receiver.is_ended() {
            self.streams.remove(&stream);
        }
    }

    /// Holds output until a piece is full, and stores that before the satellite may send on.
    async fn store_output(&self, id: CommandId, channel: Channel, offset: u64, bytes: &Bytes) -> Result<()> {
        let running = &self.hive.inner.running;
        if running.context(id, self.satellite).is_none() {
            // The command was ended from here meanwhile (removed, overdue): the output has no place any more.
            return Ok(());
        }
        running.heard(id, self.hive.source().steady());
        if let Some((offset, piece)) = running.add(id, &channel, offset, bytes).map_err(broken)? {
            let end = offset + piece.len() as u64;
            let insistence = self.hive.insist();
            loop {
                let stored = self.hive.store().command_output_append(id, channel.clone(), offset, piece.clone()).await;
                let stored = stored.map_err(Error::from);
                if !insistence.wants_another(&stored).await {
                    break stored?;
                }
            }
            running.stored(id, &channel, end);
        }
        Ok(())
    }

    fn on_heartbeat(&self, metrics: Option<Metrics>, capacity: Option<u32>) {
        if let Some(capacity) = capacity {
            self.hive.set_capacity(self.satellite, &self.live, capacity);
        }
        if let Some(metrics) = metrics {
            let problems = metrics.problems.into_iter().take(MAX_PROBLEMS).map(cut).collect();
            self.hive.inner.links.set_problems(self.satellite, problems);
        }
        self.live.on_answer();
        let at = self.hive.source().now();
        self.hive.note_seen(Seen { id: self.satellite, at, system: None, agent_version: None });
    }

    /// Takes back a command that the satellite cannot take now.
    async fn on_busy(&self, id: CommandId) -> Result<()> {
        if self.hive.inner.running.context(id, self.satellite).is_none() {
            return self.hive.note_stray_command(self.satellite, id).await;
        }
        self.hive.start_taking_back(self.satellite, id, &self.live);
        Ok(())
    }

    /// Notes that a command runs. Written behind: the result may well come first, and then it wins.
    async fn on_ack(&self, id: CommandId, journal_position: Option<u64>) -> Result<()> {
        if self.hive.inner.running.context(id, self.satellite).is_none() {
            return self.hive.note_stray_command(self.satellite, id).await;
        }
        if let Some(position) = journal_position {
            self.hive.inner.positions.note(self.satellite, &self.live.journal_id, position);
        }
        let (hive, started_at) = (self.hive.clone(), self.hive.source().now());
        self.hive.inner.tasks.spawn(async move {
            // Most commands end within milliseconds, and their end stores the start as well: one write less for each.
            if hive.ends_within(id, START_DELAY).await {
                return;
            }
            if let Err(error) = hive.store().command_start(id, started_at).await {
                warn!(command.id = %id, error = %error, "the start of a command was not stored");
            }
        });
        Ok(())
    }

    async fn on_stream_open(
        &mut self,
        stream: StreamId,
        command: CommandId,
        channel: Channel,
        offset: u64,
    ) -> Result<()> {
        self.check_stream(stream)?;
        if self.hive.inner.running.context(command, self.satellite).is_none() {
            self.hive.note_stray_command(self.satellite, command).await?;
        }
        let has_gap = match self.hive.inner.running.received(command) {
            Some(received) if channel == Channel::Stdout => offset > received.stdout,
            Some(received) if channel == Channel::Stderr => offset > received.stderr,
            _ => false,
        };
        if has_gap {
            return Err(broken("stream begins behind what was received"));
        }
        let receiver = Receiver::resuming_at(offset);
        self.streams.insert(stream, Incoming::Output { command, channel, receiver });
        Ok(())
    }

    fn check_stream(&self, stream: StreamId) -> Result<()> {
        if !stream.is_from_satellite() || self.streams.len() >= MAX_STREAMS {
            return Err(broken("stream number not allowed, or too many streams"));
        }
        Ok(())
    }

    /// Takes a result, from the satellite that was asked only, and acknowledges it once it is stored.
    async fn on_result(&mut self, result: CommandResult) -> Result<()> {
        let id = result.id;
        match self.hive.inner.running.context(id, self.satellite) {
            Some(_) if is_for_want_of_room(&result) => self.on_busy(id).await?,
            Some(context) => {
                let outcome = self.outcome(result)?;
                match self.hive.finish(id, &context, outcome.clone()).await {
                    Err(Error::Unavailable(_)) => {
                        self.hive.finish_later(id, context, outcome, self.live.clone());
                        return Ok(());
                    }
                    finished => finished?,
                }
            }
            // Ended before, here or by another process: the satellite may forget it. Others' results are not taken.
            None => {
                self.hive.count_stray(self.satellite, id)?;
                match self.hive.store().command_get(id).await? {
                    Some(row) if row.satellite_id == self.satellite && row.status.is_terminal() => {}
                    row => return self.hive.judge_stray(self.satellite, id, row.as_ref()),
                }
            }
        }
        self.say(ToAgent::ResultAck { id });
        Ok(())
    }

    /// Checks a result against what was received.
    fn outcome(&self, result: CommandResult) -> Result<CommandOutcome> {
        let CommandResult { id, status, exit_code, duration_ms, sent, truncated, error } = result;
        if !status.is_terminal() {
            return Err(broken("result without an end"));
        }
        if self.hive.inner.running.received(id) != Some(sent) {
            return Err(broken("result before all of its output"));
        }
        // Older satellites send the code of the signal that ended it.
        let exit_code = exit_code.filter(|_| status != CommandStatus::TimedOut);
        let (status, error) = known_end(status, error.map(cleaned));
        Ok(CommandOutcome {
            status,
            exit_code,
            duration_ms: Some(duration_ms),
            truncated,
            error,
            finished_at: self.hive.source().now(),
            output: self.hive.inner.running.held(id),
        })
    }

    /// Says something; a link that is gone does not hear it, and the next one starts anew.
    fn say(&self, message: ToAgent) {
        if self.live.send(Outgoing::Control(message)).is_err() {
            debug!(satellite.id = %self.satellite, "link takes no more messages");
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.hive.close_queue(&self.live);
        let is_offline = self.hive.inner.links.forget(self.satellite, self.live.epoch);
        self.hive.inner.sessions.unlink(self.satellite, self.live.epoch);
        if !is_offline {
            return;
        }
        info!(satellite.id = %self.satellite, "satellite offline");
        let last_seen = Some(self.hive.source().now());
        self.hive.publish(|seq| SatelliteEvent::Offline { seq, id: self.satellite, last_seen });
    }
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached").field("satellite", &self.satellite).finish_non_exhaustive()
    }
}

/// The satellite as the audit trail names it.
pub(crate) fn satellite_actor(id: SatelliteId) -> hive_wire::api::Actor {
    hive_wire::api::Actor { kind: "satellite".into(), id: id.to_string(), name: id.to_string(), ip: None }
}

/// A satellite that does not keep to the protocol.
pub(crate) fn broken(rule: impl ToString) -> Error {
    Error::invalid("link", rule.to_string())
}

/// Whether an older satellite, which knows no `busy`, refuses a command for want of room. It has not journalled the command,
/// and knows nothing of it any more once this is acknowledged.
fn is_for_want_of_room(result: &CommandResult) -> bool {
    let is_refusal = result.status == CommandStatus::Failed && result.exit_code.is_none();
    is_refusal && result.error.as_ref().is_some_and(|error| error.code == ErrorCode::RateLimited)
}

/// An end as it is stored. Whether a command whose end this version does not know did its work cannot be told.
fn known_end(status: CommandStatus, error: Option<ErrorBody>) -> (CommandStatus, Option<ErrorBody>) {
    let CommandStatus::Unknown(word) = status else { return (status, error) };
    let mut message = format!("the satellite says it ended as {:?}", cut(word.into_string()));
    if let Some(error) = error {
        message = format!("{message}: {}", error.message);
    }
    (CommandStatus::OutcomeUnknown, Some(ErrorBody { code: ErrorCode::Internal, message: cut(message) }))
}

/// An error as a satellite tells it, no longer than anybody minds storing.
fn cleaned(error: ErrorBody) -> ErrorBody {
    ErrorBody { code: known_code(error.code), message: cut(error.message) }
}

/// A satellite's own words for an error, from a list of ours.
fn known_code(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::CommandBlocked
        | ErrorCode::InvalidInput
        | ErrorCode::CommandTimeout
        | ErrorCode::RateLimited
        | ErrorCode::Unavailable
        | ErrorCode::Unsupported => code,
        ErrorCode::Unknown(word) if is_code(&word) => ErrorCode::Unknown(word),
        _ => ErrorCode::Internal,
    }
}

/// Whether a code of another version has the form of one.
fn is_code(word: &str) -> bool {
    word.len() <= 64 && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

pub(crate) fn cut(text: String) -> String {
    if text.chars().count() > MAX_TEXT { text.chars().take(MAX_TEXT).collect() } else { text }
}
