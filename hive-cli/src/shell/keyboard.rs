//! Where what is typed comes from.

use std::fs::File;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe;

/// A source of keystrokes.
pub(super) enum Keyboard {
    /// A person at a terminal: read without a thread in between, which would cost each keystroke a wake-up.
    Terminal(pipe::Receiver),
    /// A pipe or a file, until it ends.
    Piped(Box<dyn AsyncRead + Send + Unpin>),
    /// One that has ended.
    Ended,
}

impl Keyboard {
    /// Reads a terminal that is never waited for. It is read as a pipe is, whose wrapper asks for nothing more.
    pub(super) fn terminal(terminal: File) -> io::Result<Self> {
        pipe::Receiver::from_file_unchecked(terminal).map(Self::Terminal)
    }

    /// Reads stdin, whatever it is.
    pub(super) fn piped() -> Self {
        Self::read_from(tokio::io::stdin())
    }

    pub(super) fn read_from(source: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self::Piped(Box::new(source))
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// Waits for what is typed; 0 where nothing more can be. Dropping the future loses nothing.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Terminal(terminal) => terminal.read(buffer).await,
            Self::Piped(stdin) => stdin.read(buffer).await,
            Self::Ended => std::future::pending().await,
        }
    }
}
