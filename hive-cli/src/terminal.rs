//! Questions to the user at the terminal.

use std::io::{self, BufRead, IsTerminal};

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use secrecy::SecretString;

use crate::error::{CliError, Result};
use crate::{exit, output};

/// Whether standard input is a terminal.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal()
}

/// Whether a question can be shown and answered.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Reads a secret: without echo from a terminal, else the first line of stdin.
pub(crate) async fn password(question: &str) -> Result<SecretString> {
    if !io::stdin().is_terminal() {
        return Ok(line().await?.into());
    }
    // Before the question is shown: an answer that is typed at once is then neither echoed nor dropped by TCSAFLUSH.
    let echo = EchoGuard::off().map_err(CliError::Runtime)?;
    output::prompt(question);
    let password = line().await;
    drop(echo);
    output::prompt("\n");
    Ok(password?.into())
}

/// Asks for a line.
pub(crate) async fn ask(question: &str) -> Result<String> {
    output::prompt(question);
    line().await
}

/// Asks for a yes. Without a terminal it is a usage error, so that a script does not wait for ever.
pub(crate) async fn confirm(question: &str) -> Result<()> {
    if !io::stdin().is_terminal() {
        return Err(CliError::usage(format!("{question} There is no terminal to confirm it; give --yes")));
    }
    output::prompt(&format!("{question} [y/N] "));
    let is_yes = matches!(line().await?.to_lowercase().as_str(), "y" | "yes");
    if is_yes { Ok(()) } else { Err(CliError::Interrupted(exit::SIGINT)) }
}

/// Reads a line. Ctrl-C interrupts it.
async fn line() -> Result<String> {
    // On a blocking thread, because a read of a terminal cannot be cancelled. After Ctrl-C that thread is left behind:
    // `main` shuts the runtime down without waiting for it.
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    tokio::select! {
        line = read => {
            let line = line.map_err(io::Error::other).and_then(|line| line).map_err(CliError::file("read", "stdin"))?;
            // Only the line end: a password may end with a space.
            Ok(line.trim_end_matches(['\r', '\n']).to_owned())
        }
        _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted(exit::SIGINT)),
    }
}

/// Turns the echo of the terminal off until it is dropped.
struct EchoGuard {
    before: Termios,
}

impl EchoGuard {
    fn off() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for EchoGuard {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
