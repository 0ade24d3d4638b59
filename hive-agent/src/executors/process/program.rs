//! The program of a command: file, arguments, working directory, environment. The agent's own environment contains
//! tokens, so nothing of it is inherited.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hive_wire::agent::{ErrorBody, ExecSpec, MAX_STDIN};
use hive_wire::{CommandId, ErrorCode};

use crate::config::Account;
use crate::process_tree::TreeRoot;
use crate::system_error;

/// Set in the environment of every process of a command, to find those that left its process group.
const MARKER: &str = "HIVE_COMMAND_ID";

/// A program that is ready to start.
#[derive(Debug)]
pub(crate) struct Program {
    id: CommandId,
    pub(super) path: PathBuf,
    /// The name as requested, which becomes the program's `argv[0]`.
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: PathBuf,
    pub(super) stdin: Option<Vec<u8>>,
    pub(super) timeout: Duration,
}

impl Program {
    /// The program of an exec command: `/bin/sh -c` for a line, otherwise the named file with its arguments.
    pub(crate) fn of_spec(id: CommandId, spec: &ExecSpec, account: &Account) -> Result<Self, ErrorBody> {
        let cwd = working_directory(spec.cwd.as_deref(), account)?;
        let Account { path, home, user, shell, lang, extra: _ } = account;
        let own = [("PATH", &**path), ("HOME", home), ("USER", user), ("SHELL", shell), ("LANG", lang)];
        // The request may set any variable except the marker, which is added last.
        let env = environment(&own, account, &spec.env, (MARKER, id.to_string()))?;
        let (name, args) = match &spec.args {
            None => ("/bin/sh".to_owned(), vec!["-c".to_owned(), spec.command.clone()]),
            Some(args) => (spec.command.clone(), args.clone()),
        };
        Ok(Self {
            id,
            path: find(&name, &env, &cwd)?,
            name,
            args,
            env,
            cwd,
            stdin: spec.stdin.as_deref().map(decode_input).transpose()?,
            timeout: Duration::from_secs(spec.timeout_seconds.into()),
        })
    }

    /// The root of its process tree, once it runs under this process id.
    pub(super) fn root(&self, pid: u32) -> TreeRoot {
        TreeRoot { pid, marker: marker(self.id) }
    }
}

/// The variable in the environment of all processes of a command, as `NAME=value`.
pub(crate) fn marker(id: CommandId) -> String {
    format!("{MARKER}={id}")
}

fn working_directory(requested: Option<&str>, account: &Account) -> Result<PathBuf, ErrorBody> {
    match requested {
        Some(requested) if Path::new(&account.home).join(requested).is_dir() => {
            Ok(Path::new(&account.home).join(requested))
        }
        Some(requested) => Err(invalid(format!("cwd: there is no directory {requested:?}"))),
        None => Ok(home(account)),
    }
}

/// The home directory, or `/` if it does not exist: service users often have none.
pub(crate) fn home(account: &Account) -> PathBuf {
    let home = Path::new(&account.home);
    if home.is_dir() { home.to_owned() } else { "/".into() }
}

/// The environment of a program: `own` variables, then those of the machine's owner, then the requested ones, then the
/// marker.
pub(crate) fn environment(
    own: &[(&str, &str)],
    account: &Account,
    requested: &BTreeMap<String, String>,
    marker: (&str, String),
) -> Result<Vec<(String, String)>, ErrorBody> {
    if let Some(key) = requested.keys().find(|key| key.is_empty() || key.contains(['=', '\0'])) {
        return Err(invalid(format!("env: {key:?} cannot be the name of a variable")));
    }
    let own = own.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    let requested = requested.iter().map(|(key, value)| (key.clone(), value.clone()));
    let marker = (marker.0.to_owned(), marker.1);
    Ok(own.chain(account.extra.iter().cloned()).chain(requested).chain([marker]).collect())
}

/// Finds the file in `PATH` as a shell would, because `posix_spawn` with a path does not search.
fn find(name: &str, env: &[(String, String)], cwd: &Path) -> Result<PathBuf, ErrorBody> {
    if name.is_empty() {
        return Err(invalid("command: it is empty".to_owned()));
    }
    // A relative path is resolved against the command's directory and not the agent's.
    if name.contains('/') {
        return Ok(cwd.join(name));
    }
    // The request may have set `PATH`, which then decides.
    let path = env.iter().rev().find(|(key, _)| key == "PATH").map_or("", |(_, path)| path);
    std::env::split_paths(path)
        .map(|dir| cwd.join(dir).join(name))
        .find(|file| is_executable(file))
        .ok_or_else(|| invalid(format!("cannot start {name:?}: there is no such program in PATH")))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn decode_input(base64: &str) -> Result<Vec<u8>, ErrorBody> {
    let input =
        data_encoding::BASE64.decode(base64.as_bytes()).map_err(|_| invalid("stdin: it is not base64".to_owned()))?;
    if input.len() > MAX_STDIN {
        return Err(invalid(format!("stdin: it is longer than {MAX_STDIN} bytes")));
    }
    Ok(input)
}

/// The error of a program that cannot be started.
pub(crate) fn not_started(name: &str, error: &std::io::Error) -> ErrorBody {
    use std::io::ErrorKind::{OutOfMemory, ResourceBusy, WouldBlock};
    // These errors are temporary: the caller may retry, and should not look for a mistake in the request.
    let is_our_fault = matches!(error.kind(), OutOfMemory | ResourceBusy | WouldBlock);
    ErrorBody {
        code: if is_our_fault { ErrorCode::Unavailable } else { ErrorCode::InvalidInput },
        message: format!("cannot start {name:?}: {}", system_error::text(error)),
    }
}

fn invalid(message: String) -> ErrorBody {
    ErrorBody { code: ErrorCode::InvalidInput, message }
}
