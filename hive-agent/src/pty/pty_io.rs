//! Moves bytes between a terminal and its program: what is typed first, then what is said.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hive_wire::api::Size;
use pty_process::{OwnedReadPty, OwnedWritePty, Pty};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::Instant;

use super::session::Terminal;

/// Bytes read before anybody is told, where the program says more than is read: a frame.
pub(super) const BATCH: usize = 64 * 1024;
/// The largest piece read at once; the kernel gives no more than about 4 KiB.
const PIECE: usize = 8 * 1024;
/// How long a terminal that nobody has open is left alone, before it is seen whether somebody has opened it again.
const PAUSE: Duration = Duration::from_millis(50);

/// The program's end of a terminal.
#[derive(Debug)]
pub(super) struct Pump {
    terminal: Arc<Terminal>,
    reader: OwnedReadPty,
    writer: OwnedWritePty,
    buffer: Vec<u8>,
    /// Until when nobody has it open.
    closed_until: Option<Instant>,
}

/// What was moved in one turn.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) typed: usize,
    pub(super) read: usize,
}

impl Pump {
    pub(super) fn new(terminal: Arc<Terminal>, pty: Pty) -> Self {
        let (reader, writer) = pty.into_split();
        Self { terminal, reader, writer, buffer: Vec::with_capacity(PIECE), closed_until: None }
    }

    fn resize(&self, size: Size) {
        // The size of a terminal that is gone is nobody's concern.
        self.writer.resize(pty_process::Size::new(size.rows, size.cols)).ok();
    }

    /// When to try again with a terminal that nobody has open.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.closed_until
    }

    /// Gives the program its size, types what waits, and reads as much as there is room for, a batch at most.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Moved> {
        if self.closed_until.is_some_and(|until| Instant::now() < until) {
            return Poll::Pending;
        }
        self.closed_until = None;
        let mut moved = Moved::default();
        let room = self.terminal.room();
        let done =
            self.type_waiting(context, &mut moved.typed).and_then(|()| self.read(context, room, &mut moved.read));
        if done.is_err() {
            // Linux says so as an error, others as an end; a program may still open it again.
            self.closed_until = Some(Instant::now() + PAUSE);
        } else if moved == Moved::default() {
            return Poll::Pending;
        }
        Poll::Ready(moved)
    }

    /// Reads what a program that is about to go still says, within the room that is left for it.
    pub(super) fn poll_last_words(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut read = 0;
        let room = self.terminal.last_room();
        self.read(context, room, &mut read)?;
        if read > 0 || room == 0 { Poll::Ready(Ok(read)) } else { Poll::Pending }
    }

    fn type_waiting(&mut self, context: &mut Context<'_>, typed: &mut usize) -> io::Result<()> {
        loop {
            let (size, bytes) = self.terminal.next_turn();
            if let Some(size) = size {
                self.resize(size);
            }
            let Some(bytes) = bytes else { break };
            let Poll::Ready(written) = Pin::new(&mut self.writer).poll_write(context, &bytes) else { break };
            let written = written?;
            self.terminal.apply(written);
            *typed += written;
        }
        Ok(())
    }

    fn read(&mut self, context: &mut Context<'_>, room: u64, read: &mut usize) -> io::Result<()> {
        let most = room.min(BATCH as u64) as usize;
        while *read < most {
            let space = self.buffer.spare_capacity_mut();
            let len = space.len().min(most - *read);
            let mut piece = ReadBuf::uninit(&mut space[..len]);
            let Poll::Ready(done) = Pin::new(&mut self.reader).poll_read(context, &mut piece) else { break };
            match (done, piece.filled()) {
                (Ok(()), []) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (Ok(()), bytes) => {
                    self.terminal.keep(bytes);
                    *read += bytes.len();
                }
                // What was read comes first; the error comes again.
                (Err(error), _) => return if *read > 0 { Ok(()) } else { Err(error) },
            }
        }
        Ok(())
    }
}
