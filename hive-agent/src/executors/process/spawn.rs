//! Starts processes with `posix_spawn`, each as the leader of a session of its own.
//!
//! The standard library uses it as well but cannot set the session, and a `fork` of a process as large as the agent takes
//! several times longer. A spawned process inherits the working directory of the thread that spawns it, so one thread
//! with a working directory of its own starts all processes. A request is with it before the process may start: it waits for
//! the permit, so that no other thread has to be woken in between.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use nix::libc;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use rustix::process::Pid;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Program;
use super::child::kill;

/// Processes that wait to be started. When the queue is full, the next command waits.
const QUEUE: usize = 1024;
/// The thread's directory between two starts, so that it keeps no file system busy.
const IDLE_DIRECTORY: &str = "/";
/// Changes the directory on systems where a thread has none of its own.
const IN_DIRECTORY: &str = r#"cd -- "$0" && exec "$@""#;

/// When a process may start.
#[derive(Debug)]
pub(crate) struct StartCondition {
    /// Arrives when the start is on disk. The process does not start without it.
    pub(crate) permit: oneshot::Receiver<()>,
    /// A command that is cancelled before its start does not start.
    pub(crate) cancel: CancellationToken,
}

/// A process that is started when it may.
#[derive(Debug)]
struct SpawnRequest {
    parameters: SpawnParameters,
    condition: StartCondition,
    started: oneshot::Sender<io::Result<Option<Pid>>>,
}

#[derive(Debug)]
struct SpawnParameters {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
    cwd: PathBuf,
    stdio: [OwnedFd; 3],
}

/// A process that is starting. It is killed if this is dropped.
#[derive(Debug)]
pub(super) struct StartingProcess(oneshot::Receiver<io::Result<Option<Pid>>>);

impl StartingProcess {
    /// Waits until it has started, and returns its id; `None` if it was cancelled before.
    pub(super) async fn started(self) -> io::Result<Option<Pid>> {
        self.0.await.map_err(|_| thread_ended())?
    }
}

/// Starts a program as soon as it may start. It gets these descriptors as its input, output and error output.
pub(super) async fn start(
    program: &Program,
    stdio: [OwnedFd; 3],
    condition: StartCondition,
) -> io::Result<StartingProcess> {
    let parameters = SpawnParameters {
        path: c_string(program.path.as_os_str())?,
        args: arguments(program)?,
        env: environment(program)?,
        cwd: program.cwd.clone(),
        stdio,
    };
    let (started, answer) = oneshot::channel();
    spawn_thread()?.send(SpawnRequest { parameters, condition, started }).await.map_err(|_| thread_ended())?;
    Ok(StartingProcess(answer))
}

fn thread_ended() -> io::Error {
    io::Error::other("the thread that starts programs is gone")
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "its name, an argument or a variable contains a nul byte")
    })
}

fn arguments(program: &Program) -> io::Result<Vec<CString>> {
    let words = std::iter::once(&program.name).chain(&program.args);
    words.map(|word| c_string(word.as_ref())).collect()
}

/// Of variables that occur twice, the later ones win.
fn environment(program: &Program) -> io::Result<Vec<CString>> {
    let variables: BTreeMap<_, _> = program.env.iter().map(|(key, value)| (key, value)).collect();
    variables.into_iter().map(|(key, value)| c_string(format!("{key}={value}").as_ref())).collect()
}

/// The thread that starts processes, one per agent process.
fn spawn_thread() -> io::Result<&'static mpsc::Sender<SpawnRequest>> {
    static THREAD: OnceLock<mpsc::Sender<SpawnRequest>> = OnceLock::new();
    if let Some(thread) = THREAD.get() {
        return Ok(thread);
    }
    let (sender, requests) = mpsc::channel(QUEUE);
    std::thread::Builder::new().name("starter".into()).stack_size(128 * 1024).spawn(move || start_all(requests))?;
    // If two callers race, the loser's thread ends at once because its channel is closed.
    Ok(THREAD.get_or_init(|| sender))
}

fn start_all(mut requests: mpsc::Receiver<SpawnRequest>) {
    // Once per thread: the result does not change.
    let has_directory = own_directory().is_ok();
    let start = if has_directory { start_in_directory } else { start_by_shell };
    while let Some(SpawnRequest { parameters, condition, started }) = requests.blocking_recv() {
        // The requests come in the order of the records, and one sync covers several: the next ones wait for it as well.
        if condition.permit.blocking_recv().is_err() {
            continue;
        }
        let is_cancelled = condition.cancel.is_cancelled();
        let process = if is_cancelled { Ok(None) } else { start(&parameters).map(Some) };
        if let Err(Ok(Some(pid))) = started.send(process) {
            // The caller has given up.
            kill(pid);
        }
    }
}

/// Gives this thread a working directory of its own.
#[cfg(target_os = "linux")]
fn own_directory() -> nix::Result<()> {
    // From now on `chdir` moves this thread alone.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)
}

#[cfg(not(target_os = "linux"))]
fn own_directory() -> nix::Result<()> {
    Err(nix::errno::Errno::ENOSYS)
}

fn start_in_directory(process: &SpawnParameters) -> io::Result<Pid> {
    nix::unistd::chdir(&process.cwd)?;
    let started = spawn(&process.path, &process.args, process);
    // Also after a failed start: a directory in use could not be unmounted.
    nix::unistd::chdir(IDLE_DIRECTORY)?;
    started
}

/// Used where a container forbids a thread a directory of its own.
fn start_by_shell(process: &SpawnParameters) -> io::Result<Pid> {
    if !process.cwd.is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // The shell would report a missing file as exit code 127 instead of an error.
    nix::unistd::access(process.path.as_c_str(), nix::unistd::AccessFlags::X_OK)?;
    let shell = c"/bin/sh".to_owned();
    let mut args = vec![shell.clone(), c"-c".to_owned(), c_string(IN_DIRECTORY.as_ref())?];
    args.extend([c_string(process.cwd.as_os_str())?, process.path.clone()]);
    // The first argument is the name, and the shell gives the program its path instead.
    args.extend(process.args.iter().skip(1).cloned());
    spawn(&shell, &args, process)
}

fn spawn(path: &CString, args: &[CString], process: &SpawnParameters) -> io::Result<Pid> {
    let mut actions = PosixSpawnFileActions::init()?;
    // `dup2` clears the close-on-exec flag of descriptors 0 to 2; all others are closed.
    for (number, descriptor) in (0..).zip(&process.stdio) {
        actions.add_dup2(descriptor.as_raw_fd(), number)?;
    }
    let mut attributes = PosixSpawnAttr::init()?;
    let new_session = PosixSpawnFlags::from_bits_retain(libc::POSIX_SPAWN_SETSID.into());
    attributes
        .set_flags(new_session | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)?;
    // A signal that the agent blocks would stay blocked in the process.
    attributes.set_sigmask(&SigSet::empty())?;
    // Rust programs ignore SIGPIPE; their children must not inherit that.
    attributes.set_sigdefault(&SigSet::from_iter([Signal::SIGPIPE]))?;
    let pid = posix_spawn(path.as_c_str(), &actions, &attributes, args, &process.env)?;
    Pid::from_raw(pid.as_raw()).ok_or_else(|| io::Error::other("a process without a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, waitpid};
    use std::fs::File;
    use std::io::Read as _;

    fn parameters(path: &str, cwd: PathBuf) -> (SpawnParameters, io::PipeReader) {
        let (reader, output) = io::pipe().unwrap();
        let words = ["sh", "-c", r#"pwd -P; echo "$1""#, "sh", "a  b"];
        let parameters = SpawnParameters {
            path: c_string(path.as_ref()).unwrap(),
            args: words.map(|word| c_string(word.as_ref()).unwrap()).to_vec(),
            env: Vec::new(),
            cwd,
            stdio: [File::open("/dev/null").unwrap().into(), output.into(), File::create("/dev/null").unwrap().into()],
        };
        (parameters, reader)
    }

    #[test]
    fn a_program_starts_in_its_directory_also_where_a_thread_has_none_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let cwd = dir.path().canonicalize().unwrap();
        let (parameters, mut reader) = parameters("/bin/sh", cwd.clone());
        let pid = start_by_shell(&parameters).unwrap();
        drop(parameters);
        let mut output = String::new();
        reader.read_to_string(&mut output).unwrap();
        waitpid(Some(pid), WaitOptions::empty()).unwrap();
        assert_eq!(output, format!("{}\na  b\n", cwd.display()));
    }

    #[test]
    fn what_is_not_there_is_not_started_by_the_shell_either() {
        let kind = |path: &str, cwd: &str| start_by_shell(&parameters(path, cwd.into()).0).unwrap_err().kind();
        assert_eq!(kind("/no/such/file", "/"), io::ErrorKind::NotFound);
        assert_eq!(kind("/bin/sh", "/no/such/directory"), io::ErrorKind::NotFound);
    }
}
