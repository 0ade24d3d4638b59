//! The program of a session: path, name, environment. The agent's own environment contains tokens, so nothing of it is
//! inherited.

use std::io;
use std::path::{Path, PathBuf};

use hive_wire::agent::{ErrorBody, PtySpec};
use hive_wire::api::Size;
use hive_wire::{ErrorCode, SessionId};
use pty_process::{Command, Pty};
use tokio::process::Child;

use crate::config::Account;
use crate::executors::process;
use crate::process_tree::TreeRoot;
use crate::system_error;

/// The terminal type that programs see.
const TERM: &str = "xterm-256color";
/// Set in the environment of every process of a session, to find those that left it.
const MARKER: &str = "HIVE_SESSION_ID";

/// A shell that is ready to start.
#[derive(Debug)]
pub(crate) struct LoginShell {
    id: SessionId,
    path: String,
    env: Vec<(String, String)>,
    cwd: PathBuf,
}

impl LoginShell {
    /// The requested shell, or the account's own.
    pub(crate) fn of_spec(spec: &PtySpec, account: &Account) -> Result<Self, ErrorBody> {
        let shell = spec.shell.as_ref().unwrap_or(&account.shell);
        if !Path::new(shell).is_absolute() {
            let message = format!("shell: {shell:?} is not an absolute path");
            return Err(ErrorBody { code: ErrorCode::InvalidInput, message });
        }
        let Account { path, home, user, shell: _, lang, extra: _ } = account;
        let own = [
            ("TERM", TERM),
            ("PATH", path),
            ("HOME", home),
            ("USER", user),
            ("LOGNAME", user),
            ("SHELL", shell),
            ("LANG", lang),
        ];
        Ok(Self {
            id: spec.session_id,
            env: process::environment(&own, account, &spec.env, (MARKER, spec.session_id.to_string()))?,
            path: shell.clone(),
            cwd: process::home(account),
        })
    }

    /// The path of the program.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Starts it as a login shell, the leader of a process session on a new PTY.
    pub(crate) fn start(&self, size: Size) -> Result<(Child, Pty), ErrorBody> {
        let (pty, line) = open(size).map_err(|error| ErrorBody {
            code: ErrorCode::Unavailable,
            message: format!("the satellite cannot open a pseudo-terminal: {}", system_error::text(&cause(error))),
        })?;
        let started = Command::new(&self.path)
            .arg0(self.login_name())
            .env_clear()
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .current_dir(&self.cwd)
            // A task that panics must not leave a shell behind that nobody ends.
            .kill_on_drop(true)
            .spawn(line);
        let child = started.map_err(|error| process::not_started(&self.path, &cause(error)))?;
        Ok((child, pty))
    }

    /// The root of its process tree, once it runs under this process id.
    pub(crate) fn root(&self, pid: u32) -> TreeRoot {
        TreeRoot { pid, marker: marker(self.id) }
    }

    /// A leading hyphen in `argv[0]` makes it a login shell.
    fn login_name(&self) -> String {
        let name = Path::new(&self.path).file_name().unwrap_or_default();
        format!("-{}", name.to_string_lossy())
    }
}

/// The variable in the environment of all processes of a session, as `NAME=value`.
pub(super) fn marker(id: SessionId) -> String {
    format!("{MARKER}={id}")
}

fn open(size: Size) -> pty_process::Result<(Pty, pty_process::Pts)> {
    let (pty, line) = pty_process::open()?;
    // Set before the program starts, because many programs read the size only once.
    pty.resize(pty_process::Size::new(size.rows, size.cols))?;
    Ok((pty, line))
}

fn cause(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        error => io::Error::other(error),
    }
}
