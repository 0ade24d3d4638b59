//! The source of what is typed.

use std::fs::File;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe;

/// Where keys are read from.
pub(super) enum KeyInput {
    /// A terminal, read without a thread in between: the hand-over would delay each keystroke.
    Terminal(pipe::Receiver),
    /// A pipe or a file, until it ends.
    Piped(Box<dyn AsyncRead + Send + Unpin>),
    /// An input that has ended.
    Ended,
}

impl KeyInput {
    /// Reads a non-blocking terminal.
    pub(super) fn terminal(terminal: File) -> io::Result<Self> {
        // Tokio has no type for terminals. The one for pipes does what is needed: it registers a file with epoll or
        // kqueue. Its check of the file type is skipped.
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

    /// Waits for input; 0 at its end. Cancel-safe.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Terminal(terminal) => terminal.read(buffer).await,
            Self::Piped(stdin) => stdin.read(buffer).await,
            Self::Ended => std::future::pending().await,
        }
    }
}
