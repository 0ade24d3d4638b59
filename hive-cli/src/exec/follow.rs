//! Follows the commands of one `exec` call until they end. The first Ctrl-C, SIGTERM or SIGHUP cancels them and waits
//! for their ends; the second one returns at once. They are cancelled as well where the output cannot be written any
//! more.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use hive_core::Subscription;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{CommandInfo, ExecEvent, ExecResult, OutputEncoding, TargetStatus};
use hive_core::wire::{CommandId, SatelliteId};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::collect::{Collector, ExecUpdate};
use super::display::ExecDisplay;
use super::interrupts::Interrupts;
use crate::error::{CliError, Result};
use hive_core::HiveApi;

/// How long cancelled commands may take to end. After that the hive goes on cancelling them alone.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a start that was interrupted may take, so that its id is known and it can be cancelled.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// Time between two requests for a command whose stream broke off.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long the hive may be out of reach before following a command fails.
const OUTAGE_LIMIT: Duration = Duration::from_secs(30);

/// Waits until something has started. Returns it, and the signal that came meanwhile.
pub(crate) async fn start_or_interrupt<T>(
    starting: impl Future<Output = hive_core::Result<T>>,
    interrupts: &mut Interrupts,
) -> Result<(T, Option<i32>)> {
    tokio::pin!(starting);
    let signal = tokio::select! {
        started = &mut starting => return Ok((started?, None)),
        signal = interrupts.next() => signal,
    };
    // The hive may have started it already, and only the answer has the id by which it can be cancelled. A second
    // signal skips that.
    tokio::select! {
        started = timeout(START_TIMEOUT, starting) => Ok((started.map_err(|_| CliError::Interrupted(signal))??, Some(signal))),
        signal = interrupts.next() => Err(CliError::Interrupted(signal)),
    }
}

/// The results of an `exec` call.
pub(crate) struct ExecOutcome {
    pub(crate) results: Vec<ExecResult>,
    /// The signal that interrupted it.
    pub(crate) interrupted: Option<i32>,
}

/// Shows events until the stream ends, and polls the commands whose end the stream did not have. If a signal
/// `interrupted` the start, the commands are cancelled as soon as they are accepted.
pub(crate) async fn follow(
    api: &dyn HiveApi,
    (events, interrupted): (Subscription<ExecEvent>, Option<i32>),
    display: ExecDisplay,
    mut interrupts: Interrupts,
) -> Result<ExecOutcome> {
    let cancellation = interrupted.map(Cancellation::by);
    let mut follower = ExecFollower { api, collector: Collector::new(display.is_collected()), display: &display };
    let interrupted = match follower.until_end(events, cancellation, &mut interrupts).await {
        Ok(interrupted) => interrupted,
        Err(error) => {
            follower.cancel(&mut interrupts).await;
            return Err(error);
        }
    };
    if interrupted.is_none() {
        tokio::select! {
            result = follower.poll_unfinished() => result?,
            signal = interrupts.next() => return Err(CliError::Interrupted(signal)),
        }
    }
    Ok(ExecOutcome { results: follower.collector.into_results(), interrupted })
}

/// The commands are being cancelled because of a signal.
#[derive(Clone, Copy)]
struct Cancellation {
    signal: i32,
    deadline: Instant,
}

impl Cancellation {
    fn by(signal: i32) -> Self {
        Self { signal, deadline: Instant::now() + CANCEL_TIMEOUT }
    }
}

struct ExecFollower<'a> {
    api: &'a dyn HiveApi,
    collector: Collector,
    display: &'a ExecDisplay,
}

impl ExecFollower<'_> {
    /// Follows the stream to its end. Returns the signal that came meanwhile.
    async fn until_end(
        &mut self,
        mut events: Subscription<ExecEvent>,
        mut cancellation: Option<Cancellation>,
        interrupts: &mut Interrupts,
    ) -> Result<Option<i32>> {
        let commands = self.api.commands();
        let mut cancels = FuturesUnordered::new();
        loop {
            let deadline = cancellation.map(|cancellation| cancellation.deadline);
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { break };
                    let update = self.on_event(event)?;
                    // The hive may accept more commands after the signal: each of them is cancelled as well.
                    if let (Some(ExecUpdate::Accepted(command)), Some(_)) = (update, deadline) {
                        cancels.push(commands.cancel(command));
                    }
                }
                signal = interrupts.next() => {
                    // The second signal: the cancels that were not sent yet are given up with it.
                    if deadline.is_some() {
                        return Ok(Some(signal));
                    }
                    cancellation = Some(Cancellation::by(signal));
                    cancels.extend(self.collector.open().into_iter().map(|(_, command)| commands.cancel(command)));
                }
                // Polled here only to make progress. An empty set yields `None`, which disables the branch for this
                // round.
                Some(_) = cancels.next() => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break,
            }
        }
        let Some(Cancellation { signal, deadline }) = cancellation else { return Ok(None) };
        let all_cancelled = async { while cancels.next().await.is_some() {} };
        // The hive keeps a command that could not be cancelled in time; it ends by its own timeout.
        let _ = timeout_at(deadline, all_cancelled).await;
        Ok(Some(signal))
    }

    /// Cancels the commands that have not ended. A signal stops waiting for that.
    async fn cancel(&self, interrupts: &mut Interrupts) {
        let open = self.collector.open();
        let commands = self.api.commands();
        let cancels = join_all(open.into_iter().map(|(_, command)| commands.cancel(command)));
        tokio::select! {
            _ = timeout(CANCEL_TIMEOUT, cancels) => {}
            _ = interrupts.next() => {}
        }
    }

    fn on_event(&mut self, event: ExecEvent) -> Result<Option<ExecUpdate>> {
        let update = self.collector.on_event(event);
        match &update {
            Some(ExecUpdate::Output { channel, bytes, .. }) => self.display.on_output(channel.clone(), bytes)?,
            Some(ExecUpdate::Done(satellite)) => {
                if let Some(result) = self.collector.result(*satellite) {
                    self.display.on_end(result);
                }
            }
            Some(ExecUpdate::Link { is_online, seconds_left }) => self.display.on_link(*is_online, *seconds_left),
            Some(ExecUpdate::Accepted(_)) | None => {}
        }
        Ok(update)
    }

    /// Polls the commands whose end was not heard of. The hive keeps them, so a stream that breaks off loses nothing.
    async fn poll_unfinished(&mut self) -> Result<()> {
        for (satellite, command) in self.collector.open() {
            let info = until_ended(self.api, command).await?;
            for event in replayed_events(self.api, satellite, info).await? {
                self.on_event(event)?;
            }
        }
        Ok(())
    }
}

/// Polls a command until it has ended. A restart of the hive in between is waited for.
async fn until_ended(api: &dyn HiveApi, command: CommandId) -> Result<CommandInfo> {
    let mut last_heard = Instant::now();
    loop {
        match api.commands().get(command, OutputEncoding::Base64).await {
            Ok(Some(info)) if info.status.is_terminal() => return Ok(info),
            // The limit counts from the last answer: the command itself may run for hours.
            Ok(Some(_)) => last_heard = Instant::now(),
            Ok(None) => {
                return Err(hive_core::Error::NotFound { what: "command", id: command.to_string() }.into());
            }
            Err(hive_core::Error::Unavailable(_)) if last_heard.elapsed() < OUTAGE_LIMIT => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Returns the events of a command that has ended, with all of its output: the collector drops what it has already.
async fn replayed_events(api: &dyn HiveApi, satellite_id: SatelliteId, info: CommandInfo) -> Result<[ExecEvent; 3]> {
    let missing = || hive_core::Error::SatelliteNotFound(satellite_id.to_string());
    let satellite_name = api.satellites().get(satellite_id).await?.ok_or_else(missing)?.name;
    let output = |channel, data| ExecEvent::Output { satellite_id, channel, offset: 0, data };
    let (end, status) = (info.end(), TargetStatus::Command(info.status));
    let result = ExecResult::without_output(satellite_id, satellite_name, Some(info.id), status, end);
    Ok([output(Channel::Stdout, info.stdout), output(Channel::Stderr, info.stderr), ExecEvent::Exit(Box::new(result))])
}
