//! Waits for a running command. The first Ctrl-C, SIGTERM or SIGHUP cancels it and waits for its end; the second leaves.
//! Where nobody takes the output any more, it is cancelled as well.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use hive_core::Subscription;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{CommandInfo, ExecEvent, ExecResult, OutputEncoding, TargetStatus};
use hive_core::wire::{CommandId, SatelliteId};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::collect::{Collector, Step};
use super::interrupts::Interrupts;
use super::view::View;
use crate::failure::{Failure, Result};
use hive_core::HiveApi;

/// How long cancelled commands may take to end before we leave them to the hive.
const CANCEL_TIME: Duration = Duration::from_secs(10);
/// How long what was interrupted at its beginning may take to begin.
const BEGIN_TIME: Duration = Duration::from_secs(2);
/// How often a command is asked for whose stream broke off.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long the hive may be away before a command whose stream broke off is given up.
const ASK_FOR: Duration = Duration::from_secs(30);

/// Waits until something has begun, and says by which signal we were interrupted meanwhile. It may have begun already, and
/// only its id is what it can be cancelled by: so it is waited for a little longer, unless there is another signal.
pub(crate) async fn begun<T>(
    beginning: impl Future<Output = hive_core::Result<T>>,
    interrupts: &mut Interrupts,
) -> Result<(T, Option<i32>)> {
    tokio::pin!(beginning);
    let signal = tokio::select! {
        begun = &mut beginning => return Ok((begun?, None)),
        signal = interrupts.next() => signal,
    };
    tokio::select! {
        begun = timeout(BEGIN_TIME, beginning) => Ok((begun.map_err(|_| Failure::Interrupted(signal))??, Some(signal))),
        signal = interrupts.next() => Err(Failure::Interrupted(signal)),
    }
}

/// What became of the targets.
pub(crate) struct Followed {
    pub(crate) results: Vec<ExecResult>,
    /// The signal that interrupted us.
    pub(crate) interrupted: Option<i32>,
}

/// Shows events until the stream ends, and finds out about the commands it did not tell the end of. Where we were
/// `interrupted` before, they are cancelled from the beginning.
pub(crate) async fn follow(
    api: &dyn HiveApi,
    (events, interrupted): (Subscription<ExecEvent>, Option<i32>),
    view: View,
    mut interrupts: Interrupts,
) -> Result<Followed> {
    let cancelling = interrupted.map(Cancelling::by);
    let mut following = Following { api, collector: Collector::new(view.is_collected()), view: &view };
    let interrupted = match following.until_end(events, cancelling, &mut interrupts).await {
        Ok(interrupted) => interrupted,
        Err(failure) => {
            following.cancel(&mut interrupts).await;
            return Err(failure);
        }
    };
    if interrupted.is_none() {
        tokio::select! {
            outcome = following.ask_for_the_rest() => outcome?,
            signal = interrupts.next() => return Err(Failure::Interrupted(signal)),
        }
    }
    Ok(Followed { results: following.collector.into_results(), interrupted })
}

/// The commands are being cancelled, because of a signal.
#[derive(Clone, Copy)]
struct Cancelling {
    signal: i32,
    deadline: Instant,
}

impl Cancelling {
    fn by(signal: i32) -> Self {
        Self { signal, deadline: Instant::now() + CANCEL_TIME }
    }
}

struct Following<'a> {
    api: &'a dyn HiveApi,
    collector: Collector,
    view: &'a View,
}

impl Following<'_> {
    /// Returns the signal that came meanwhile, if there was one.
    async fn until_end(
        &mut self,
        mut events: Subscription<ExecEvent>,
        mut cancelling: Option<Cancelling>,
        interrupts: &mut Interrupts,
    ) -> Result<Option<i32>> {
        let commands = self.api.commands();
        let mut cancels = FuturesUnordered::new();
        loop {
            let deadline = cancelling.map(|cancelling| cancelling.deadline);
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { break };
                    let step = self.on_event(event)?;
                    // A fan-out goes on accepting: what comes after the signal is cancelled as well.
                    if let (Some(Step::Accepted(command)), Some(_)) = (step, deadline) {
                        cancels.push(commands.cancel(command));
                    }
                }
                signal = interrupts.next() => {
                    if deadline.is_some() {
                        return Ok(Some(signal));
                    }
                    cancelling = Some(Cancelling::by(signal));
                    cancels.extend(self.collector.open().into_iter().map(|(_, command)| commands.cancel(command)));
                }
                Some(_) = cancels.next() => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break,
            }
        }
        let Some(Cancelling { signal, deadline }) = cancelling else { return Ok(None) };
        let all_asked = async { while cancels.next().await.is_some() {} };
        // One that cannot be cancelled in time goes on without us.
        let _ = timeout_at(deadline, all_asked).await;
        Ok(Some(signal))
    }

    /// Cancels what has not ended, unless there is a signal meanwhile.
    async fn cancel(&self, interrupts: &mut Interrupts) {
        let open = self.collector.open();
        let commands = self.api.commands();
        let cancels = join_all(open.into_iter().map(|(_, command)| commands.cancel(command)));
        tokio::select! {
            _ = timeout(CANCEL_TIME, cancels) => {}
            _ = interrupts.next() => {}
        }
    }

    fn on_event(&mut self, event: ExecEvent) -> Result<Option<Step>> {
        let step = self.collector.on_event(event);
        match &step {
            Some(Step::Output { channel, bytes, .. }) => self.view.on_output(channel.clone(), bytes)?,
            Some(Step::Done(satellite)) => {
                if let Some(result) = self.collector.result(*satellite) {
                    self.view.on_end(result);
                }
            }
            Some(Step::Link { is_online, seconds_left }) => self.view.on_link(*is_online, *seconds_left),
            Some(Step::Accepted(_)) | None => {}
        }
        Ok(step)
    }

    /// The commands are durable: where the stream broke off, they are asked for by their ids until they have ended.
    async fn ask_for_the_rest(&mut self) -> Result<()> {
        for (satellite, command) in self.collector.open() {
            let info = ended(self.api, command).await?;
            for event in told_again(self.api, satellite, info).await? {
                self.on_event(event)?;
            }
        }
        Ok(())
    }
}

/// Asks for a command until it has ended, through a restart of the hive.
async fn ended(api: &dyn HiveApi, command: CommandId) -> Result<CommandInfo> {
    let mut last_heard = Instant::now();
    loop {
        match api.commands().get(command, OutputEncoding::Base64).await {
            Ok(Some(info)) if info.status.is_terminal() => return Ok(info),
            Ok(Some(_)) => last_heard = Instant::now(),
            Ok(None) => {
                return Err(hive_core::Error::NotFound { what: "command", id: command.to_string() }.into());
            }
            Err(hive_core::Error::Unavailable(_)) if last_heard.elapsed() < ASK_FOR => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The events of a command that has ended. What was heard of its output before is known by its offset.
async fn told_again(api: &dyn HiveApi, satellite_id: SatelliteId, info: CommandInfo) -> Result<[ExecEvent; 3]> {
    let missing = || hive_core::Error::SatelliteNotFound(satellite_id.to_string());
    let satellite_name = api.satellites().get(satellite_id).await?.ok_or_else(missing)?.name;
    let output = |channel, data| ExecEvent::Output { satellite_id, channel, offset: 0, data };
    let result = ExecResult {
        satellite_id,
        satellite_name,
        command_id: Some(info.id),
        status: TargetStatus::Command(info.status),
        exit_code: info.exit_code,
        stdout: String::new(),
        stderr: String::new(),
        duration_ms: info.duration_ms.unwrap_or(0),
        truncated: info.truncated,
        error: info.error,
    };
    Ok([output(Channel::Stdout, info.stdout), output(Channel::Stderr, info.stderr), ExecEvent::Exit(Box::new(result))])
}
