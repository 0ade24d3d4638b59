//! Runs one program: feeds it, keeps what it says, ends it when its time is up.
//!
//! A command has ended when its main process has exited; what the pipes still hold is read for a moment, and background
//! children are left alone. When it is ended by force, everything it started is ended with it, and only when all of that
//! is gone does it count as ended. Knows neither the link nor the journal.

mod program;

use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{FusedFuture as _, join};
use hive_wire::ErrorCode;
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::CommandStatus;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::spool::Writer;
use crate::tree;

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
pub(crate) struct Outputs<F> {
    pub(crate) stdout: Writer,
    pub(crate) stderr: Writer,
    /// Told the new length of an output that has grown.
    pub(crate) on_growth: F,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Exited,
    TimedOut,
    Cancelled,
    Stopped,
}

/// Runs a program to its end.
pub(crate) async fn run<F: Fn(Channel, u64)>(program: Program, mut outputs: Outputs<F>, stop: &Stop) -> Outcome {
    if stop.cancel.is_cancelled() {
        return Outcome::without_run(CommandStatus::Cancelled, None);
    }
    let begun = Instant::now();
    let mut child = match spawn(&program) {
        Ok(child) => child,
        Err(error) => return Outcome::without_run(CommandStatus::Failed, Some(not_started(&program.name, &error))),
    };
    let (ending, status) = attend(&mut child, program, &mut outputs, stop).await;
    let (status, exit_code, error) = judge(ending, status);
    Outcome {
        status,
        exit_code,
        error,
        duration: begun.elapsed(),
        kept: Received { stdout: outputs.stdout.len(), stderr: outputs.stderr.len() },
        is_truncated: outputs.stdout.is_truncated() || outputs.stderr.is_truncated(),
    }
}

fn spawn(program: &Program) -> std::io::Result<Child> {
    Command::new(&program.path)
        .arg0(&program.name)
        .args(&program.args)
        .env_clear()
        .envs(program.env.iter().map(|(key, value)| (key, value)))
        .current_dir(&program.cwd)
        .stdin(if program.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn attend<F: Fn(Channel, u64)>(
    child: &mut Child,
    mut program: Program,
    outputs: &mut Outputs<F>,
    stop: &Stop,
) -> (Ending, std::io::Result<ExitStatus>) {
    let on_growth = &outputs.on_growth;
    let stdout = keep(child.stdout.take(), &mut outputs.stdout, |len| on_growth(Channel::Stdout, len));
    let stderr = keep(child.stderr.take(), &mut outputs.stderr, |len| on_growth(Channel::Stderr, len));
    let mut pipes = pin!(join(stdout, stderr).fuse());
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
        tree::end(program.root(root)).await;
    }
    let status = child.wait().await;
    if !pipes.is_terminated() {
        // Whether everything was read or the time is up: the command has ended.
        drop(tokio::time::timeout(DRAIN, pipes).await);
    }
    (ending, status)
}

/// Reads a pipe to its end, whatever happens to the bytes, so that the program is never held up.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, writer: &mut Writer, on_growth: impl Fn(u64)) {
    let Some(mut pipe) = pipe else { return };
    // On the heap, and only as large as pieces are: a thousand waiting commands must not cost megabytes.
    let mut piece = Vec::new();
    loop {
        piece.clear();
        piece.reserve(if piece.capacity() == 0 { 1024 } else { PIECE });
        match pipe.read_buf(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let before = writer.len();
                let len = writer.append(&piece);
                if len > before {
                    on_growth(len);
                }
            }
        }
    }
}

/// A program that does not read its input to the end has its reasons.
async fn feed(pipe: Option<ChildStdin>, input: Option<Vec<u8>>) {
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
