//! Starts a process as the leader of a session of its own, without a controlling terminal: `/dev/tty` does not exist
//! for it, and it cannot write to the terminal in which the agent was started.
//!
//! [`spawn`](super::spawn) starts it; this module watches it until its end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::{Pid, WaitOptions, kill_process, waitpid};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::Program;
use super::spawn::{self, StartCondition, StartingProcess};

/// A process that starts as soon as it may: its pipes are open.
#[derive(Debug)]
pub(super) struct PreparedProcess {
    starting: StartingProcess,
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

/// A running process. It is killed when this is dropped before its end was seen.
#[derive(Debug)]
pub(super) struct ChildProcess {
    pid: Pid,
    end: ExitWatch,
    status: Option<ExitStatus>,
    pub(super) stdin: Option<pipe::Sender>,
    pub(super) stdout: Option<pipe::Receiver>,
    pub(super) stderr: Option<pipe::Receiver>,
}

/// How the end of a process is noticed.
#[derive(Debug)]
enum ExitWatch {
    Descriptor(AsyncFd<OwnedFd>),
    /// Used where the system has no process descriptors. It is sent for every child.
    Signal(Signals),
}

impl PreparedProcess {
    pub(super) async fn new(program: &Program, condition: StartCondition) -> io::Result<Self> {
        let (input, stdin) = match program.stdin {
            Some(_) => io::pipe().map(|(input, stdin)| (input.into(), Some(OwnedFd::from(stdin))))?,
            // Not the input of the agent, which may be the terminal in which it was started.
            None => (File::open("/dev/null")?.into(), None),
        };
        let (stdout, output) = io::pipe()?;
        let (stderr, errors) = io::pipe()?;
        let stdin = stdin.map(pipe::Sender::from_owned_fd).transpose()?;
        let stdout = pipe::Receiver::from_owned_fd(stdout.into())?;
        let stderr = pipe::Receiver::from_owned_fd(stderr.into())?;
        let starting = spawn::start(program, [input, output.into(), errors.into()], condition).await?;
        Ok(Self { starting, stdin, stdout, stderr })
    }
}

impl ChildProcess {
    /// Waits until the process has started; `None` if it was cancelled before.
    pub(super) async fn start(process: PreparedProcess) -> io::Result<Option<Self>> {
        let PreparedProcess { starting, stdin, stdout, stderr } = process;
        let Some(pid) = starting.started().await? else { return Ok(None) };
        let end = ExitWatch::of(pid).inspect_err(|_| kill(pid))?;
        Ok(Some(Self { pid, end, status: None, stdin, stdout: Some(stdout), stderr: Some(stderr) }))
    }

    /// The process id, until the end was seen. The number is not reused before that.
    pub(super) fn id(&self) -> Option<u32> {
        self.status.is_none().then(|| self.pid.as_raw_nonzero().get().cast_unsigned())
    }

    /// Waits for the end. Cancel-safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            // The status is checked first: an end before the descriptor was opened raises no event.
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            match &mut self.end {
                ExitWatch::Descriptor(descriptor) => descriptor.readable().await?.clear_ready(),
                ExitWatch::Signal(children) => drop(children.recv().await),
            }
        }
    }

    /// Reaps the process if it has ended.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none()
            && let Some((_, status)) = waitpid(Some(self.pid), WaitOptions::NOHANG)?
        {
            self.status = Some(ExitStatus::from_raw(status.as_raw()));
        }
        Ok(self.status)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if self.status.is_none() {
            kill(self.pid);
        }
    }
}

impl ExitWatch {
    /// An end before this call is not missed: [`ChildProcess::wait`] checks the status before it waits.
    #[cfg(target_os = "linux")]
    #[expect(deprecated, reason = "its successor is unsafe, for descriptors that change; an owned one does not")]
    fn of(pid: Pid) -> io::Result<Self> {
        use rustix::process::{PidfdFlags, pidfd_open};
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => AsyncFd::with_interest(descriptor, tokio::io::Interest::READABLE).map(Self::Descriptor),
            // Kernels before 5.3 have no process descriptors, and some sandboxes forbid them.
            Err(_) => signal(SignalKind::child()).map(Self::Signal),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_pid: Pid) -> io::Result<Self> {
        signal(SignalKind::child()).map(Self::Signal)
    }
}

/// Kills a process that was not reaped yet.
pub(super) fn kill(pid: Pid) {
    // It may have ended in the meantime.
    kill_process(pid, rustix::process::Signal::KILL).ok();
}
