//! Following a command while it runs: its output, the state of its satellite's link, and its end.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use hive_wire::CommandId;
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::{CommandEnd, CommandStatus, ExecEvent, ExecResult, OutputEncoding, TargetStatus};
use tokio::sync::mpsc;
use tokio::time::interval;
use tracing::warn;

use super::Commands;
use super::in_flight::SatelliteRef;
use crate::store::JobTargetRow;
use crate::{Error, Result};

/// Output of one event, about.
const CHUNK: usize = 64 * 1024;
/// How often it is checked whether the satellite of a command is online.
const LINK_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The follower of a command or a job is gone.
pub(crate) struct Unsubscribed;

/// Whether an event was sent.
pub(crate) type Sent = Result<(), Unsubscribed>;

/// The events of one call, for one follower.
pub(crate) struct CommandStream {
    commands: Arc<Commands>,
    events: mpsc::Sender<ExecEvent>,
    timeout_seconds: u32,
}

impl CommandStream {
    pub(crate) fn new(commands: Arc<Commands>, events: mpsc::Sender<ExecEvent>, timeout_seconds: u32) -> Self {
        Self { commands, events, timeout_seconds }
    }

    pub(crate) async fn send(&self, event: ExecEvent) -> Sent {
        self.events.send(event).await.map_err(|_| Unsubscribed)
    }

    pub(crate) async fn send_accepted(&self, satellite: &SatelliteRef, id: CommandId) -> Sent {
        self.send(ExecEvent::Accepted { satellite_id: satellite.satellite, command_id: id }).await
    }

    /// Returns the result of a job's target, without its output.
    pub(crate) fn target_result(&self, target: JobTargetRow) -> ExecResult {
        self.commands.target_report(target, OutputEncoding::Lossy).result
    }

    /// Reports one command until it ends.
    pub(crate) async fn follow(&self, satellite: SatelliteRef, id: CommandId) -> Sent {
        let exit = match self.output_until_end(&satellite, id).await {
            Ok(sent) => {
                sent?;
                let timeout = self.commands.call_timeout(self.timeout_seconds);
                self.commands.snapshot(id, &satellite, timeout).await.map(|snapshot| snapshot.result)
            }
            Err(error) => Err(error),
        };
        // A follower gets an end for each target, also where the store fails meanwhile.
        let exit = exit.unwrap_or_else(|error| {
            warn!(command.id = %id, error = %error, "a command cannot be followed");
            unfinished(id, &satellite, &error)
        });
        self.send(ExecEvent::Exit(Box::new(exit))).await
    }

    async fn output_until_end(&self, satellite: &SatelliteRef, id: CommandId) -> Result<Sent> {
        let mut sent = Received::default();
        let mut was_online = true;
        let mut link_checks = interval(LINK_CHECK_INTERVAL);
        let timeout = self.commands.call_timeout(self.timeout_seconds);
        let progress = tokio::time::timeout(timeout, self.commands.follow_when_in_flight(id)).await;
        if let Some(mut progress) = progress.unwrap_or(Ok(None))? {
            loop {
                // A block of its own: the borrow locks the channel, and must not be held across an await.
                let (received, has_ended) = {
                    let now = progress.borrow_and_update();
                    (now.received, now.finished.is_some())
                };
                // Also where it has ended: the last output arrives with the end.
                if self.send_output(satellite, id, &mut sent, received).await?.is_err() {
                    return Ok(Err(Unsubscribed));
                }
                if has_ended {
                    break;
                }
                let is_online = self.commands.presence.is_online(satellite.satellite);
                if std::mem::replace(&mut was_online, is_online) != is_online
                    && self.send_link(satellite, id, is_online).await.is_err()
                {
                    return Ok(Err(Unsubscribed));
                }
                tokio::select! {
                    changed = progress.changed() => if changed.is_err() { break },
                    _ = link_checks.tick() => {}
                }
            }
        }
        // A command that ended before it was followed, or in another process, has its output in the store alone.
        let all = self.commands.store.command_output_len(id).await?;
        self.send_output(satellite, id, &mut sent, all).await
    }

    /// Sends the output between what was sent and what has arrived.
    async fn send_output(
        &self,
        satellite: &SatelliteRef,
        id: CommandId,
        sent: &mut Received,
        arrived: Received,
    ) -> Result<Sent> {
        let channels =
            [(Channel::Stdout, &mut sent.stdout, arrived.stdout), (Channel::Stderr, &mut sent.stderr, arrived.stderr)];
        for (channel, sent, arrived) in channels {
            while *sent < arrived {
                // The place in the queue first: output that waits for one must not be in memory.
                let Ok(permit) = self.events.reserve().await else { return Ok(Err(Unsubscribed)) };
                let bytes = self.commands.output_from(id, channel.clone(), *sent, CHUNK).await?;
                // The last output of a revoked command may have failed to reach the store.
                if bytes.is_empty() {
                    break;
                }
                let data = BASE64.encode(&bytes);
                let channel = channel.clone();
                permit.send(ExecEvent::Output { satellite_id: satellite.satellite, channel, offset: *sent, data });
                *sent += bytes.len() as u64;
            }
        }
        Ok(Ok(()))
    }

    /// Reports that a satellite's link was lost, or is back.
    async fn send_link(&self, satellite: &SatelliteRef, id: CommandId, is_online: bool) -> Sent {
        let until = self.commands.expected_until(id, self.timeout_seconds);
        let seconds_left = (!is_online).then(|| until.since(self.commands.context.steady()).as_secs());
        self.send(ExecEvent::Link { satellite_id: satellite.satellite, online: is_online, seconds_left }).await
    }
}

/// The result of a target that is not run.
pub(crate) fn not_run(satellite: &SatelliteRef, error: &Error) -> ExecResult {
    empty(satellite, None, TargetStatus::NotRun, error)
}

/// The result of a command of which no more is known here than that it was stored.
fn unfinished(id: CommandId, satellite: &SatelliteRef, error: &Error) -> ExecResult {
    empty(satellite, Some(id), TargetStatus::Command(CommandStatus::Delivered), error)
}

fn empty(satellite: &SatelliteRef, command_id: Option<CommandId>, status: TargetStatus, error: &Error) -> ExecResult {
    let end = CommandEnd::from(ErrorBody::from(error));
    ExecResult::without_output(satellite.satellite, satellite.name.clone(), command_id, status, end)
}
