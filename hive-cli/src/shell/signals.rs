//! What the operating system tells us while we have the terminal.

use std::io;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll, unfold};
use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{SignalKind, signal};

/// Something that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// We are to go, by the signal of this number.
    Leave(i32),
    /// The screen has another size.
    Resized,
    /// We were stopped, and go on.
    Continued,
}

impl From<Number> for Signal {
    fn from(number: Number) -> Self {
        match number {
            Number::SIGWINCH => Self::Resized,
            Number::SIGCONT => Self::Continued,
            number => Self::Leave(number as i32),
        }
    }
}

/// The signals that concern us. From here on, none of them ends the process by itself.
pub(super) struct Signals {
    /// Only one that has come is looked at: they are waited for with every keystroke.
    all: SelectAll<BoxStream<'static, Signal>>,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        let concerning =
            [Number::SIGHUP, Number::SIGINT, Number::SIGQUIT, Number::SIGTERM, Number::SIGWINCH, Number::SIGCONT];
        let all = concerning.into_iter().map(listen_to).collect::<io::Result<_>>()?;
        Ok(Self { all })
    }

    /// Waits for the next one. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Signal {
        self.all.next().await.expect("signals never end")
    }

    /// Waits until we are to go; gives the number of the signal.
    pub(super) async fn leave(&mut self) -> i32 {
        loop {
            if let Signal::Leave(number) = self.next().await {
                return number;
            }
        }
    }
}

fn listen_to(number: Number) -> io::Result<BoxStream<'static, Signal>> {
    let stream = signal(SignalKind::from_raw(number as i32))?;
    Ok(unfold(stream, move |mut stream| async move { stream.recv().await.map(|()| (number.into(), stream)) }).boxed())
}
