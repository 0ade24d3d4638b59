//! Runs one program: feeds it, keeps what it says, ends it when its time is up.
//!
//! A command has ended when its main process has exited; what the pipes still hold is read for a moment, and background
//! children are left alone: what they say later is read and dropped. When it is ended by force, everything it started is ended with it, and only when all of that
//! is gone does it count as ended. Knows neither the link nor the journal.

mod child;
mod pipe_drain;
mod program;

use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{FusedFuture as _, join};
use hive_wire::ErrorCode;
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::CommandStatus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::process_tree;
use crate::spool::Writer;

use child::Child;

pub(crate) use pipe_drain::Drain;
pub(crate) use program::{Program, environment, home, marker, not_started};

/// How long the pipes are read after the main process has exited, where a background child holds them open.
const DRAIN: Duration = Duration::from_millis(200);
/// The largest piece read from a pipe at once.
const PIECE: usize = 32 * 1024;

/// What ends a command by force.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// Somebody asked for it.
    pub(crate) cancel: CancellationToken,
    /// The agent stops.
    pub(crate) shutdown: CancellationToken,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: CommandStatus,
    pub(crate) exit_code: Option<i32>,
    pub(crate) error: Option<ErrorBody>,
    pub(crate) duration: Duration,
    pub(crate) kept: Received,
    pub(crate) is_truncated: bool,
}

impl Outcome {
    /// Nothing ran.
    pub(crate) fn without_run(status: CommandStatus, error: Option<ErrorBody>) -> Self {
        Self {
            status,
            exit_code: None,
            error,
            duration: Duration::ZERO,
            kept: Received::default(),
            is_truncated: false,
        }
    }
}

/// Where a program's output goes.
pub(crate) struct Outputs<'a, F> {
    pub(crate) stdout: Writer,
    pub(crate) stderr: Writer,
    /// Reads what background children say when the command has ended.
    pub(crate) drain: &'a Drain,
    /// Told the new length of an output that has grown.
    pub(crate) on_growth: F,
}

impl<F> Outputs<'_, F> {
    /// Why output was lost, where not because there was too much of it.
    fn lost(&self) -> Option<ErrorBody> {
        let message = self.stdout.lost().or(self.stderr.lost())?.to_owned();
        Some(ErrorBody { code: ErrorCode::Unavailable, message })
    }
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Exited,
    TimedOut,
    Cancelled,
    Stopped,
}

/// Runs a program to its end.
pub(crate) async fn run<F: Fn(Channel, u64)>(program: Program, mut outputs: Outputs<'_, F>, stop: &Stop) -> Outcome {
    if stop.cancel.is_cancelled() {
        return Outcome::without_run(CommandStatus::Cancelled, None);
    }
    let begun = Instant::now();
    let mut child = match Child::start(&program).await {
        Ok(child) => child,
        Err(error) => return Outcome::without_run(CommandStatus::Failed, Some(not_started(&program.name, &error))),
    };
    let (ending, status) = attend(&mut child, program, &mut outputs, stop).await;
    let (status, exit_code, error) = judge(ending, status);
    let error = error.or_else(|| outputs.lost());
    Outcome {
        status,
        exit_code,
        error,
        duration: begun.elapsed(),
        kept: Received { stdout: outputs.stdout.len(), stderr: outputs.stderr.len() },
        is_truncated: outputs.stdout.is_truncated() || outputs.stderr.is_truncated(),
    }
}

async fn attend<F: Fn(Channel, u64)>(
    child: &mut Child,
    mut program: Program,
    outputs: &mut Outputs<'_, F>,
    stop: &Stop,
) -> (Ending, std::io::Result<ExitStatus>) {
    let (on_growth, drain) = (&outputs.on_growth, outputs.drain);
    let (mut stdout, mut stderr) = (Pipe::new(child.stdout.take()), Pipe::new(child.stderr.take()));
    let is_held_up = [&stdout, &stderr].map(|pipe| pipe.is_held_up.clone());
    let reading = join(
        keep(&mut stdout, &mut outputs.stdout, |len| on_growth(Channel::Stdout, len)),
        keep(&mut stderr, &mut outputs.stderr, |len| on_growth(Channel::Stderr, len)),
    );
    let mut pipes = Box::pin(reading.fuse());
    let mut input = pin!(feed(child.stdin.take(), program.stdin.take()).fuse());
    let mut time_up = pin!(tokio::time::sleep(program.timeout));
    let ending = loop {
        tokio::select! {
            _ = child.wait() => break Ending::Exited,
            _ = &mut pipes, if !pipes.is_terminated() => {}
            () = &mut input, if !input.is_terminated() => {}
            () = &mut time_up => break Ending::TimedOut,
            () = stop.cancel.cancelled() => break Ending::Cancelled,
            () = stop.shutdown.cancelled() => break Ending::Stopped,
        }
    };
    // `id` is there until the main process is reaped, and while it is not, no stranger can get its number.
    if let (false, Some(root)) = (matches!(ending, Ending::Exited), child.id()) {
        process_tree::end(program.root(root)).await;
    }
    let status = child.wait().await;
    // Whether everything was read or the time is up: the command has ended. Time in which nothing could be read does not count.
    while !pipes.is_terminated() && tokio::time::timeout(DRAIN, &mut pipes).await.is_err() {
        if !is_held_up.iter().any(|is_held_up| is_held_up.load(Ordering::Relaxed)) {
            break;
        }
    }
    drop(pipes);
    if matches!(ending, Ending::Exited) {
        [stdout, stderr].into_iter().filter_map(|pipe| pipe.reader).for_each(|reader| drain.take(reader));
    }
    (ending, status)
}

/// One of a program's outputs, until everything was read.
struct Pipe {
    reader: Option<pipe::Receiver>,
    /// There is no room for what it says, and it is waited for some.
    is_held_up: Arc<AtomicBool>,
}

impl Pipe {
    fn new(reader: Option<pipe::Receiver>) -> Self {
        Self { reader, is_held_up: Arc::default() }
    }
}

/// Reads a pipe to its end, whatever happens to the bytes. The program is held up only while a writer without a disk waits for
/// its reader.
async fn keep(pipe: &mut Pipe, writer: &mut Writer, on_growth: impl Fn(u64)) {
    let Some(reader) = &mut pipe.reader else { return };
    // On the heap, and only as large as pieces are: a thousand waiting commands must not cost megabytes.
    let mut piece = Vec::new();
    loop {
        pipe.is_held_up.store(true, Ordering::Relaxed);
        writer.room().await;
        pipe.is_held_up.store(false, Ordering::Relaxed);
        piece.clear();
        piece.reserve(if piece.capacity() == 0 { 1024 } else { PIECE });
        match reader.read_buf(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let before = writer.len();
                let len = writer.append(&piece);
                if len > before {
                    on_growth(len);
                }
            }
        }
    }
    pipe.reader = None;
}

/// A program that does not read its input to the end has its reasons.
async fn feed(pipe: Option<pipe::Sender>, input: Option<Vec<u8>>) {
    if let Some((mut pipe, input)) = pipe.zip(input) {
        drop(pipe.write_all(&input).await);
    }
}

/// The exit code is the program's own answer. A program whose time was up gave none, and one that was cancelled only tells
/// by which signal it was ended.
fn judge(ending: Ending, status: std::io::Result<ExitStatus>) -> (CommandStatus, Option<i32>, Option<ErrorBody>) {
    let of_signal = |status: &ExitStatus| status.signal().map(|signal| 128 + signal);
    let exit_code = status.as_ref().ok().and_then(|status| match ending {
        Ending::Exited => status.code().or_else(|| of_signal(status)),
        Ending::TimedOut => None,
        Ending::Cancelled | Ending::Stopped => of_signal(status),
    });
    let (status, error) = match ending {
        Ending::TimedOut => (CommandStatus::TimedOut, None),
        Ending::Cancelled => (CommandStatus::Cancelled, None),
        Ending::Stopped => {
            (CommandStatus::Cancelled, Some((ErrorCode::Unavailable, "the satellite was stopped".to_owned())))
        }
        Ending::Exited => match (exit_code, status) {
            (Some(0), _) => (CommandStatus::Succeeded, None),
            (_, Ok(_)) => (CommandStatus::Failed, None),
            (_, Err(error)) => (
                CommandStatus::OutcomeUnknown,
                Some((ErrorCode::Internal, format!("cannot wait for the process: {error}"))),
            ),
        },
    };
    (status, exit_code, error.map(|(code, message)| ErrorBody { code, message }))
}

#[cfg(test)]
mod tests;
