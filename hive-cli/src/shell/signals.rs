//! The signals that matter while a session is on the terminal.

use std::io;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll, unfold};
use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{SignalKind, signal};

/// What a signal means for the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// The process is to end, by the signal with this number.
    Leave(i32),
    /// The terminal has another size.
    Resized,
    /// The process was stopped and continues.
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

/// Receives these signals. From its creation on, none of them ends the process by itself.
pub(super) struct Signals {
    /// One stream of all, which polls only the signals that have come: it is polled with every keystroke.
    all: SelectAll<BoxStream<'static, Signal>>,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        // SIGQUIT too: in raw mode the terminal sends none for Ctrl-\, so it comes from another process and means the
        // end.
        let handled =
            [Number::SIGHUP, Number::SIGINT, Number::SIGQUIT, Number::SIGTERM, Number::SIGWINCH, Number::SIGCONT];
        let all = handled.into_iter().map(listen_to).collect::<io::Result<_>>()?;
        Ok(Self { all })
    }

    /// Waits for the next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Signal {
        self.all.next().await.expect("the signal streams never end")
    }

    /// Waits for a signal that ends the process. Returns its number.
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
