//! Runs one process: writes its input, stores its output, enforces its timeout.
//!
//! A command has ended when its main process has exited. What is left in the pipes is read for a short time; background
//! children are left running, and their later output is read and dropped. A command that is ended by force ends with
//! its whole process tree, and only when no process is left or the rest cannot be killed. This module knows neither the
//! link nor the journal.

mod child;
mod outcome;
mod output_pipe;
mod pipe_drain;
mod program;
mod spawn;
mod unkilled;

use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{FusedFuture as _, join};
use hive_wire::ErrorCode;
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::CommandStatus;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::process_tree::{self, Survivors};
use crate::spool::SpoolWriter;

use child::{ChildProcess, PreparedProcess};
use outcome::{EndCause, outcome};
use output_pipe::{OutputPipe, store_output};

pub(crate) use outcome::ProcessOutcome;
pub(crate) use pipe_drain::PipeDrain;
pub(crate) use program::{Program, environment, home, marker, not_started};
pub(crate) use spawn::StartCondition;
pub(crate) use unkilled::UnkilledCommands;

/// How long the pipes are read after the main process has exited, if a background child holds them open.
const DRAIN: Duration = Duration::from_millis(200);
/// The signals that end a command by force.
#[derive(Debug, Clone)]
pub(crate) struct StopSignals {
    /// The command is cancelled.
    pub(crate) cancel: CancellationToken,
    /// The agent stops.
    pub(crate) shutdown: CancellationToken,
}

/// Where the output of a process goes.
pub(crate) struct ProcessOutputs<'a, F> {
    pub(crate) stdout: SpoolWriter,
    pub(crate) stderr: SpoolWriter,
    /// Reads the output of background children after the command has ended.
    pub(crate) drain: &'a PipeDrain,
    /// Keeps what cannot be killed until it ends.
    pub(crate) unkilled: &'a UnkilledCommands,
    /// Called with the new length of an output that has grown.
    pub(crate) on_growth: F,
}

impl<F> ProcessOutputs<'_, F> {
    /// Why output was lost, unless it exceeded the size limit.
    fn loss(&self) -> Option<ErrorBody> {
        let message = self.stdout.loss().or(self.stderr.loss())?.to_owned();
        Some(ErrorBody { code: ErrorCode::Unavailable, message })
    }
}

/// A program with its pipes. Preparing it costs system calls, and can be done while the disk is written.
pub(crate) struct PreparedProgram {
    program: Program,
    process: io::Result<PreparedProcess>,
}

/// Prepares a process. It starts as soon as it may, without waiting for [`run`].
pub(crate) async fn prepare(program: Program, condition: StartCondition) -> PreparedProgram {
    PreparedProgram { process: PreparedProcess::new(&program, condition).await, program }
}

/// Runs a process to its end.
pub(crate) async fn run<F: Fn(Channel, u64)>(
    PreparedProgram { program, process }: PreparedProgram,
    mut outputs: ProcessOutputs<'_, F>,
    stop: &StopSignals,
) -> ProcessOutcome {
    let started_at = Instant::now();
    let child = match process {
        Ok(process) => ChildProcess::start(process).await,
        Err(error) => Err(error),
    };
    let mut child = match child {
        Ok(Some(child)) => child,
        // It was cancelled while its start was written to the journal.
        Ok(None) => return ProcessOutcome::without_run(CommandStatus::Cancelled, None),
        Err(error) => {
            return ProcessOutcome::without_run(CommandStatus::Failed, Some(not_started(&program.name, &error)));
        }
    };
    let (ending, status, survivors) = supervise(&mut child, program, &mut outputs, stop).await;
    let (status, exit_code, error) = outcome(ending, status, &survivors);
    if !survivors.is_empty() {
        outputs.unkilled.add(&survivors, child);
    }
    // The error of the process is more important than the one of its output.
    let error = error.or_else(|| outputs.loss());
    ProcessOutcome {
        status,
        exit_code,
        error,
        duration: started_at.elapsed(),
        output_len: Received { stdout: outputs.stdout.len(), stderr: outputs.stderr.len() },
        is_truncated: outputs.stdout.is_truncated() || outputs.stderr.is_truncated(),
    }
}

async fn supervise<F: Fn(Channel, u64)>(
    child: &mut ChildProcess,
    mut program: Program,
    outputs: &mut ProcessOutputs<'_, F>,
    stop: &StopSignals,
) -> (EndCause, io::Result<Option<ExitStatus>>, Survivors) {
    let (on_growth, drain) = (&outputs.on_growth, outputs.drain);
    let (mut stdout, mut stderr) = (OutputPipe::new(child.stdout.take()), OutputPipe::new(child.stderr.take()));
    let is_blocked = [&stdout, &stderr].map(|pipe| pipe.is_blocked.clone());
    let reading = join(
        store_output(&mut stdout, &mut outputs.stdout, |len| on_growth(Channel::Stdout, len)),
        store_output(&mut stderr, &mut outputs.stderr, |len| on_growth(Channel::Stderr, len)),
    );
    // Boxed, because it is polled again after the loop and is large.
    let mut pipes = Box::pin(reading.fuse());
    let mut input = pin!(write_stdin(child.stdin.take(), program.stdin.take()).fuse());
    let mut time_up = pin!(tokio::time::sleep(program.timeout));
    let ending = loop {
        tokio::select! {
            _ = child.wait() => break EndCause::Exited,
            // Closed pipes do not mean that the process has ended: a daemon closes them and runs on.
            _ = &mut pipes, if !pipes.is_terminated() => {}
            () = &mut input, if !input.is_terminated() => {}
            () = &mut time_up => break EndCause::TimedOut,
            () = stop.cancel.cancelled() => break EndCause::Cancelled,
            () = stop.shutdown.cancelled() => break EndCause::Stopped,
        }
    };
    // The process id stays reserved until the main process is reaped, so no other process can be hit.
    let survivors = match child.id() {
        Some(root) if !matches!(ending, EndCause::Exited) => process_tree::end(program.root(root)).await,
        _ => Survivors::default(),
    };
    // Reaps the main process, also after its tree was killed. One that cannot be killed is not waited for.
    let status = if survivors.is_empty() { child.wait().await.map(Some) } else { child.try_wait() };
    // Everything was read or the time is over: the command has ended. Time in which the pipes were not read does not
    // count.
    while !pipes.is_terminated() && tokio::time::timeout(DRAIN, &mut pipes).await.is_err() {
        if !is_blocked.iter().any(|is_blocked| is_blocked.load(Ordering::Relaxed)) {
            break;
        }
    }
    // Gives the writers back, whose lengths are part of the outcome.
    drop(pipes);
    if matches!(ending, EndCause::Exited) {
        // A command that was ended by force has no children left whose output would need a reader.
        [stdout, stderr].into_iter().filter_map(|pipe| pipe.reader).for_each(|reader| drain.take(reader));
    }
    (ending, status, survivors)
}

/// A process may exit without reading its input, so a failed write is no error.
async fn write_stdin(pipe: Option<pipe::Sender>, input: Option<Vec<u8>>) {
    if let Some((mut pipe, input)) = pipe.zip(input) {
        drop(pipe.write_all(&input).await);
    }
}

#[cfg(test)]
mod tests;
