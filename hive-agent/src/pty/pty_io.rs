//! Reads and writes the PTY of a session: input first, then output.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hive_wire::api::Size;
use pty_process::{OwnedReadPty, OwnedWritePty, Pty};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::Instant;

use super::session::AgentSession;

/// Bytes read before the link is notified, while the program writes faster than they are read: one frame.
pub(super) const BATCH: usize = 64 * 1024;
/// The largest chunk read at once. The kernel returns about 4 KiB at most.
const PIECE: usize = 8 * 1024;
/// The pause before a PTY is tried again that no process has open.
const PAUSE: Duration = Duration::from_millis(50);

/// The agent's side of a PTY.
#[derive(Debug)]
pub(super) struct PtyIo {
    session: Arc<AgentSession>,
    reader: OwnedReadPty,
    writer: OwnedWritePty,
    buffer: Vec<u8>,
    /// No process has the PTY open. It is tried again at this time.
    closed_until: Option<Instant>,
}

/// Bytes moved in one turn.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct IoCounts {
    pub(super) written: usize,
    pub(super) read: usize,
}

impl PtyIo {
    pub(super) fn new(session: Arc<AgentSession>, pty: Pty) -> Self {
        let (reader, writer) = pty.into_split();
        Self { session, reader, writer, buffer: Vec::with_capacity(PIECE), closed_until: None }
    }

    fn resize(&self, size: Size) {
        // It fails after the program has ended, when the size no longer matters.
        self.writer.resize(pty_process::Size::new(size.rows, size.cols)).ok();
    }

    /// When to try again with a PTY that no process has open.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.closed_until
    }

    /// Sets the size, writes waiting input, and reads as much as there is room for, one batch at most.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<IoCounts> {
        if self.closed_until.is_some_and(|until| Instant::now() < until) {
            return Poll::Pending;
        }
        self.closed_until = None;
        let mut moved = IoCounts::default();
        // Read before the input is written: what the input leads to cannot be in the PTY yet.
        let room = self.session.room();
        let done =
            self.write_input(context, &mut moved.written).and_then(|()| self.read(context, room, &mut moved.read));
        if done.is_err() {
            // Linux reports this as an error, other systems as end of file. A process may open the PTY again.
            self.closed_until = Some(Instant::now() + PAUSE);
        } else if moved == IoCounts::default() {
            return Poll::Pending;
        }
        Poll::Ready(moved)
    }

    /// Reads the last output of a program that has ended or is about to, within the room that is left for it.
    pub(super) fn poll_final_output(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut read = 0;
        let room = self.session.final_room();
        self.read(context, room, &mut read)?;
        if read > 0 || room == 0 { Poll::Ready(Ok(read)) } else { Poll::Pending }
    }

    fn write_input(&mut self, context: &mut Context<'_>, total: &mut usize) -> io::Result<()> {
        loop {
            // Size and input are taken together: input behind a resize must be read by a program that has the new size.
            let (size, bytes) = self.session.next_write();
            if let Some(size) = size {
                self.resize(size);
            }
            let Some(bytes) = bytes else { break };
            let Poll::Ready(written) = Pin::new(&mut self.writer).poll_write(context, &bytes) else { break };
            let written = written?;
            self.session.apply(written);
            *total += written;
        }
        Ok(())
    }

    fn read(&mut self, context: &mut Context<'_>, room: u64, read: &mut usize) -> io::Result<()> {
        let most = room.min(BATCH as u64) as usize;
        while *read < most {
            // The buffer stays empty: the ring copies what it needs, and no byte is cleared before a read.
            let space = self.buffer.spare_capacity_mut();
            let len = space.len().min(most - *read);
            let mut piece = ReadBuf::uninit(&mut space[..len]);
            let Poll::Ready(done) = Pin::new(&mut self.reader).poll_read(context, &mut piece) else { break };
            match (done, piece.filled()) {
                // An empty read is the end of file on systems other than Linux.
                (Ok(()), []) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (Ok(()), bytes) => {
                    self.session.append_output(bytes);
                    *read += bytes.len();
                }
                // The bytes read are reported first. The next call returns the error again.
                (Err(error), _) => return if *read > 0 { Ok(()) } else { Err(error) },
            }
        }
        Ok(())
    }
}
