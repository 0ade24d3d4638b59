//! Questions to whoever sits at the terminal.

use std::io::{self, BufRead, IsTerminal};

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use secrecy::SecretString;

use crate::failure::{Failure, Result};
use crate::{exit, output};

/// Whether somebody sits there.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// Reads a secret: without echo from a terminal, else the first line of stdin.
pub(crate) async fn password(question: &str) -> Result<SecretString> {
    if !io::stdin().is_terminal() {
        return Ok(line().await?.into());
    }
    // Before the question: whoever answers at once is not seen either, and loses nothing.
    let echo = Echo::off().map_err(Failure::Runtime)?;
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

/// Asks for a yes. Without a terminal there is nobody to ask.
pub(crate) async fn confirm(question: &str) -> Result<()> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{question} Nobody is here to say so; give --yes")));
    }
    output::prompt(&format!("{question} [y/N] "));
    let is_yes = matches!(line().await?.to_lowercase().as_str(), "y" | "yes");
    if is_yes { Ok(()) } else { Err(Failure::Interrupted(exit::SIGINT)) }
}

/// Reads a line, or is interrupted by Ctrl-C.
async fn line() -> Result<String> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    tokio::select! {
        line = read => {
            let line = line.map_err(io::Error::other).and_then(|line| line).map_err(Failure::file("read", "stdin"))?;
            Ok(line.trim_end_matches(['\r', '\n']).to_owned())
        }
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted(exit::SIGINT)),
    }
}

/// The terminal does not show what is typed until this is dropped.
struct Echo {
    before: Termios,
}

impl Echo {
    fn off() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
