//! Where the session's output goes: the user's terminal, or a pipe.
//!
//! Output that cannot be written yet is queued here, and never delays input. Only here a session's bytes are written
//! unchanged; the notices of this program between them are escaped.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncWriteExt as _, Stdout};
use tokio::net::unix::pipe;

use super::modes::ModeTracker;
use super::utf8::Utf8Buffer;
use crate::{escape, output};

/// Bytes of notices that may wait. Further ones are dropped, because the terminal reads nothing.
const MAX_QUEUED_NOTICES: usize = 16 * 1024;

/// Writes the output of a session, and the notices between it.
#[derive(Debug)]
pub(super) struct ScreenWriter {
    sink: Sink,
    utf8: Utf8Buffer,
    modes: ModeTracker,
    queue: VecDeque<QueuedWrite>,
    /// Bytes of output that wait.
    len: usize,
    /// Bytes of notices that wait.
    own_len: usize,
}

/// Where the bytes go.
#[derive(Debug)]
enum Sink {
    /// A terminal, opened non-blocking and written like a pipe.
    Terminal(pipe::Sender),
    Piped(Stdout),
}

/// Something that waits to be written.
#[derive(Debug)]
enum QueuedWrite {
    /// Output of the session, and the offset behind it.
    Output { bytes: Bytes, end: u64 },
    /// A notice. It is formatted when its turn comes, because the format depends on the modes of the terminal by then.
    Notice(String),
    /// Other bytes of this program.
    Own(Bytes),
    /// The sequences that undo the modes that are set by then.
    Restore,
}

/// What a write has completed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WriteProgress {
    /// Everything before this offset of the output is on the screen.
    pub(super) end: Option<u64>,
    /// The sequences that restore the terminal, if they have changed.
    pub(super) restore_sequence: Option<String>,
}

impl ScreenWriter {
    /// Writes to a non-blocking terminal.
    pub(super) fn terminal(terminal: File) -> io::Result<Self> {
        pipe::Sender::from_file_unchecked(terminal).map(|terminal| Self::new(Sink::Terminal(terminal)))
    }

    /// Writes to stdout, whatever it is.
    pub(super) fn piped() -> Self {
        Self::new(Sink::Piped(tokio::io::stdout()))
    }

    fn new(sink: Sink) -> Self {
        Self {
            sink,
            utf8: Utf8Buffer::default(),
            modes: ModeTracker::default(),
            queue: VecDeque::new(),
            len: 0,
            own_len: 0,
        }
    }

    /// Whether something waits to be written.
    pub(super) fn is_behind(&self) -> bool {
        !self.queue.is_empty()
    }

    /// How many bytes of output wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Shows output; `end` is the offset behind it.
    pub(super) fn show(&mut self, bytes: Bytes, end: u64) {
        // Bytes of an unfinished character are held back and still count as shown: the rest may never come, and without
        // an acknowledgement the hive would stop sending.
        let bytes = if self.is_terminal() { self.utf8.feed(bytes) } else { bytes };
        self.len += bytes.len();
        self.queue.push_back(QueuedWrite::Output { bytes, end });
    }

    /// Clears the screen and sets the modes of the session.
    pub(super) fn reset(&mut self, modes: &str) {
        if self.is_terminal() {
            drop(self.utf8.take());
            // CAN first: a terminal that is within an escape sequence would swallow the full reset.
            self.queue.push_back(QueuedWrite::Own(format!("\x18\x1bc{modes}").into()));
        }
    }

    /// Queues a notice, on a line of its own.
    pub(super) fn say(&mut self, sentence: &str) {
        if self.is_terminal() {
            self.queue_own(QueuedWrite::Notice(sentence.to_owned()));
        } else {
            output::note(sentence);
        }
    }

    /// Rings the bell for a key that was not accepted.
    pub(super) fn ring(&mut self) {
        if self.is_terminal() && !self.is_behind() {
            self.queue_own(QueuedWrite::Own(Bytes::from_static(b"\x07")));
        }
    }

    /// Drops the output that waits, undoes the session's modes, and queues a last message.
    ///
    /// The message is not written to standard error: that would block on a terminal that reads nothing.
    pub(super) fn leave(&mut self, sentence: Option<&str>) {
        drop(self.utf8.take());
        if !self.is_terminal() {
            return sentence.into_iter().for_each(output::note);
        }
        // A flood of output may take minutes to write: the user has left, and it stays at the hive.
        self.queue.retain(QueuedWrite::is_own);
        self.len = 0;
        let begin_line = sentence.map(|_| QueuedWrite::Own(Bytes::from_static(b"\r\n")));
        let message = sentence.map(|sentence| escape::message(sentence).replace('\n', "\r\n"));
        let message = message.map(|message| QueuedWrite::Own(format!("hive: {message}\r\n").into()));
        // The restore comes between: the line break ends the session's line, and the message appears on the normal
        // screen.
        self.queue.extend(begin_line.into_iter().chain([QueuedWrite::Restore]).chain(message));
    }

    /// Writes some of what waits. Cancel-safe: bytes leave the queue only after they were written.
    pub(super) async fn write(&mut self) -> io::Result<WriteProgress> {
        let Some(entry) = self.queue.front_mut() else { return Ok(WriteProgress::default()) };
        // Formatted in place: a write that is dropped half-way goes on with the same bytes.
        match entry {
            QueuedWrite::Notice(sentence) => *entry = QueuedWrite::Own(format_notice(sentence, &self.modes).into()),
            QueuedWrite::Restore => *entry = QueuedWrite::Own(self.modes.undo().into()),
            QueuedWrite::Output { .. } | QueuedWrite::Own(_) => {}
        }
        let (QueuedWrite::Output { bytes, .. } | QueuedWrite::Own(bytes)) = entry else {
            return Ok(WriteProgress::default());
        };
        let written = self.sink.write(bytes).await?;
        // Fed with what was written, not with what is queued: the modes are those of the terminal now.
        let has_new_modes = self.modes.feed(&bytes[..written]);
        bytes.advance(written);
        let is_complete = bytes.is_empty();
        if let QueuedWrite::Output { .. } = entry {
            self.len -= written;
        }
        let end = if is_complete { self.pop() } else { None };
        Ok(WriteProgress { end, restore_sequence: has_new_modes.then(|| self.modes.undo()) })
    }

    /// Queues the bytes of an unfinished character: no more output comes.
    pub(super) fn end_output(&mut self) {
        let held = self.utf8.take();
        if !held.is_empty() {
            self.queue_own(QueuedWrite::Own(held));
        }
    }

    /// Writes all that waits.
    pub(super) async fn write_all(&mut self) -> io::Result<WriteProgress> {
        let mut last = WriteProgress::default();
        while self.is_behind() {
            let WriteProgress { end, restore_sequence } = self.write().await?;
            last =
                WriteProgress { end: end.or(last.end), restore_sequence: restore_sequence.or(last.restore_sequence) };
        }
        self.sink.flush().await?;
        Ok(last)
    }

    fn is_terminal(&self) -> bool {
        matches!(self.sink, Sink::Terminal(_))
    }

    fn queue_own(&mut self, entry: QueuedWrite) {
        if self.own_len < MAX_QUEUED_NOTICES {
            self.own_len += entry.len();
            self.queue.push_back(entry);
        }
    }

    /// Removes the first entry, which was written completely. Returns the offset after it, if it was output.
    fn pop(&mut self) -> Option<u64> {
        if let Some(QueuedWrite::Output { end, .. }) = self.queue.pop_front() {
            return Some(end);
        }
        self.own_len = self.queue.iter().filter(|entry| entry.is_own()).map(QueuedWrite::len).sum();
        None
    }
}

impl Sink {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            _ if bytes.is_empty() => Ok(0),
            Self::Terminal(terminal) => terminal.write(bytes).await,
            Self::Piped(stdout) => {
                // Tokio's stdout takes bytes into a buffer of its own. Flushed before each write, at most the last one
                // is acknowledged before the reader has it.
                stdout.flush().await?;
                stdout.write(bytes).await
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Terminal(_) => Ok(()),
            Self::Piped(stdout) => stdout.flush().await,
        }
    }
}

impl QueuedWrite {
    fn is_own(&self) -> bool {
        !matches!(self, Self::Output { .. })
    }

    fn len(&self) -> usize {
        match self {
            Self::Output { bytes, .. } | Self::Own(bytes) => bytes.len(),
            Self::Notice(sentence) => sentence.len(),
            Self::Restore => 0,
        }
    }
}

/// Formats a notice for a terminal in these modes. On the alternate screen it is drawn into the last line, so that it
/// moves nothing that a program has drawn; elsewhere it is a line of its own.
fn format_notice(sentence: &str, modes: &ModeTracker) -> String {
    let lines: Vec<_> = sentence.lines().map(escape::line).collect();
    // CAN aborts an escape sequence of the session that is not complete yet.
    let end_of_sequence = if modes.is_in_sequence() { "\x18" } else { "" };
    if modes.is_alternate() {
        let line = lines.join("; ");
        // Save the cursor, go to the last line (any row beyond it means that), clear it, write, restore the cursor.
        return format!("{end_of_sequence}\x1b7\x1b[999;1H\x1b[0;2m\x1b[2K[hive: {line}]\x1b[0m\x1b8");
    }
    format!("{end_of_sequence}\r\n\x1b[2m[hive: {}]\x1b[22m\r\n", lines.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::time::Duration;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::pty::openpty;
    use nix::sys::termios;

    /// A screen on a pseudo-terminal, and the side that reads it.
    fn screen() -> (ScreenWriter, File) {
        let pty = openpty(None, None).unwrap();
        let mut raw = termios::tcgetattr(&pty.slave).unwrap();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&pty.slave, termios::SetArg::TCSANOW, &raw).unwrap();
        fcntl(&pty.slave, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        (ScreenWriter::terminal(pty.slave.into()).unwrap(), pty.master.into())
    }

    fn text(bytes: &'static str) -> Bytes {
        Bytes::from_static(bytes.as_bytes())
    }

    /// Writes all of it, and checks what is seen.
    async fn check(mut screen: ScreenWriter, mut reader: File, expected: &str) {
        screen.write_all().await.unwrap();
        let mut seen = vec![0; expected.len()];
        reader.read_exact(&mut seen).unwrap();
        assert_eq!(String::from_utf8_lossy(&seen), expected);
    }

    #[tokio::test]
    async fn output_is_done_when_it_is_written() {
        let (mut screen, _reader) = screen();
        screen.show(text("one"), 3);
        screen.show(text("\x1b[?25l"), 9);
        assert_eq!(screen.write().await.unwrap(), WriteProgress { end: Some(3), restore_sequence: None });
        let restore_sequence = Some("\x1b[?25h\x1b[0m".to_owned());
        assert_eq!(screen.write().await.unwrap(), WriteProgress { end: Some(9), restore_sequence });
        assert!(!screen.is_behind());
    }

    #[tokio::test]
    async fn a_notice_is_an_escaped_line_of_its_own() {
        let (mut screen, reader) = screen();
        screen.show(text("$ "), 2);
        screen.say("who\x1b[2J");
        check(screen, reader, "$ \r\n\x1b[2m[hive: who\\u{1b}[2J]\x1b[22m\r\n").await;
    }

    #[tokio::test]
    async fn a_notice_on_the_alternate_screen_moves_nothing() {
        let (mut screen, reader) = screen();
        screen.show(text("\x1b[?1049h"), 8);
        screen.say("one\ntwo");
        check(screen, reader, "\x1b[?1049h\x1b7\x1b[999;1H\x1b[0;2m\x1b[2K[hive: one; two]\x1b[0m\x1b8").await;
    }

    #[tokio::test]
    async fn a_notice_is_not_written_within_a_sequence() {
        let (mut screen, reader) = screen();
        screen.show(text("\x1b[3"), 3);
        screen.say("away");
        screen.reset("\x1b[?7l");
        check(screen, reader, "\x1b[3\x18\r\n\x1b[2m[hive: away]\x1b[22m\r\n\x18\x1bc\x1b[?7l").await;
    }

    #[tokio::test]
    async fn a_notice_is_not_written_within_a_character() {
        let (mut screen, reader) = screen();
        screen.show(Bytes::from_static(b"5 \xe2\x82"), 4);
        screen.say("away");
        screen.show(Bytes::from_static(b"\xac"), 5);
        check(screen, reader, "5 \r\n\x1b[2m[hive: away]\x1b[22m\r\n€").await;
    }

    #[tokio::test]
    async fn an_output_that_ends_within_a_character_is_shown_all_the_same() {
        let (mut screen, mut reader) = screen();
        screen.show(Bytes::from_static(b"5 \xe2"), 3);
        assert_eq!(screen.write_all().await.unwrap().end, Some(3));
        screen.end_output();
        screen.write_all().await.unwrap();
        let mut seen = [0; 3];
        reader.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"5 \xe2");
    }

    #[tokio::test]
    async fn the_last_message_is_on_a_restored_terminal() {
        let (mut screen, mut reader) = screen();
        screen.show(text("\x1b[?1049h"), 8);
        screen.write_all().await.unwrap();
        reader.read_exact(&mut [0; 8]).unwrap();
        screen.show(text("never seen"), 18);
        screen.leave(Some("one\ntwo\x1b"));
        check(screen, reader, "\r\n\x1b[?1049l\x1b[0mhive: one\r\ntwo\\u{1b}\r\n").await;
    }

    #[tokio::test]
    async fn a_terminal_that_reads_nothing_is_not_written_to_without_end() {
        let (mut screen, _reader) = screen();
        screen.show(Bytes::from(vec![b'x'; 1024 * 1024]), 1024 * 1024);
        let stuck = tokio::time::timeout(Duration::from_millis(100), screen.write_all()).await;
        assert!(stuck.is_err() && screen.len() > 0);
        for _ in 0..10_000 {
            screen.say("nobody reads this");
        }
        assert!(screen.queue.iter().map(QueuedWrite::len).sum::<usize>() < 1024 * 1024 + 2 * MAX_QUEUED_NOTICES);
        screen.leave(None);
        assert_eq!(screen.len(), 0);
    }
}
