//! Where the session's output goes: the user's terminal, or a pipe.
//!
//! What waits to be written waits here, and never stops whoever types. It is the one place where a session's bytes go out
//! as they are; whatever we say ourselves in between is made harmless first.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncWriteExt as _, Stdout};
use tokio::net::unix::pipe;

use super::characters::Characters;
use super::modes::Modes;
use crate::{escape, output};

/// Bytes of ours that may wait. What we say beyond is left out: nobody reads it.
const MAX_SAID: usize = 16 * 1024;

/// What output is written to.
#[derive(Debug)]
pub(super) struct Screen {
    target: Target,
    characters: Characters,
    modes: Modes,
    waiting: VecDeque<Piece>,
    /// Bytes of output that wait.
    len: usize,
    /// Bytes of ours that wait.
    said: usize,
}

#[derive(Debug)]
enum Target {
    Terminal(pipe::Sender),
    Piped(Stdout),
}

#[derive(Debug)]
enum Piece {
    /// Output of the session, and the offset behind it.
    Output { bytes: Bytes, end: u64 },
    /// A sentence of ours, not yet brought into form: that depends on what is on the screen by then.
    Notice(String),
    /// Something else of ours.
    Ours(Bytes),
    /// What brings the terminal back by then.
    Undo,
}

/// What a write has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Everything before this offset of the output is on the screen.
    pub(super) end: Option<u64>,
    /// What brings the terminal back, where that has changed.
    pub(super) undo: Option<String>,
}

impl Screen {
    /// Writes to a terminal that is never waited for, as to a pipe.
    pub(super) fn terminal(terminal: File) -> io::Result<Self> {
        pipe::Sender::from_file_unchecked(terminal).map(|terminal| Self::new(Target::Terminal(terminal)))
    }

    /// Writes to stdout, whatever it is.
    pub(super) fn piped() -> Self {
        Self::new(Target::Piped(tokio::io::stdout()))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            characters: Characters::default(),
            modes: Modes::default(),
            waiting: VecDeque::new(),
            len: 0,
            said: 0,
        }
    }

    /// Whether something waits to be written.
    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many bytes of output wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Shows output; `end` is the offset behind it.
    pub(super) fn show(&mut self, bytes: Bytes, end: u64) {
        // The beginning of a character counts as shown: its rest may take long, and the session would wait for us.
        let bytes = if self.is_terminal() { self.characters.feed(bytes) } else { bytes };
        self.len += bytes.len();
        self.waiting.push_back(Piece::Output { bytes, end });
    }

    /// Clears the screen, and brings it into the modes of the session's.
    pub(super) fn reset(&mut self, modes: &str) {
        if self.is_terminal() {
            drop(self.characters.take());
            // CAN: the full reset must not end up inside of a sequence that was cut off.
            self.waiting.push_back(Piece::Ours(format!("\x18\x1bc{modes}").into()));
        }
    }

    /// Says a sentence, on a line of its own.
    pub(super) fn say(&mut self, sentence: &str) {
        if self.is_terminal() {
            self.put(Piece::Notice(sentence.to_owned()));
        } else {
            output::note(sentence);
        }
    }

    /// Says that a key was in vain.
    pub(super) fn ring(&mut self) {
        if self.is_terminal() && !self.is_behind() {
            self.put(Piece::Ours(Bytes::from_static(b"\x07")));
        }
    }

    /// Leaves out the output that waits, brings the terminal out of the session's modes, and says a last sentence.
    ///
    /// It is said here and not on stderr: whoever writes there waits for a terminal that reads nothing.
    pub(super) fn leave(&mut self, sentence: Option<&str>) {
        drop(self.characters.take());
        if !self.is_terminal() {
            return sentence.into_iter().for_each(output::note);
        }
        self.waiting.retain(Piece::is_ours);
        self.len = 0;
        let begin_line = sentence.map(|_| Piece::Ours(Bytes::from_static(b"\r\n")));
        let said = sentence.map(|sentence| escape::message(sentence).replace('\n', "\r\n"));
        let said = said.map(|said| Piece::Ours(format!("hive: {said}\r\n").into()));
        self.waiting.extend(begin_line.into_iter().chain([Piece::Undo]).chain(said));
    }

    /// Writes some of what waits. Dropping the future loses nothing.
    pub(super) async fn write(&mut self) -> io::Result<Written> {
        let Some(piece) = self.waiting.front_mut() else { return Ok(Written::default()) };
        match piece {
            Piece::Notice(sentence) => *piece = Piece::Ours(formed(sentence, &self.modes).into()),
            Piece::Undo => *piece = Piece::Ours(self.modes.undo().into()),
            Piece::Output { .. } | Piece::Ours(_) => {}
        }
        let (Piece::Output { bytes, .. } | Piece::Ours(bytes)) = piece else { return Ok(Written::default()) };
        let written = self.target.write(bytes).await?;
        let has_new_modes = self.modes.feed(&bytes[..written]);
        bytes.advance(written);
        let is_whole = bytes.is_empty();
        if let Piece::Output { .. } = piece {
            self.len -= written;
        }
        let end = if is_whole { self.pop() } else { None };
        Ok(Written { end, undo: has_new_modes.then(|| self.modes.undo()) })
    }

    /// Shows also what looks like the beginning of a character: nothing more comes.
    pub(super) fn end_output(&mut self) {
        let held = self.characters.take();
        if !held.is_empty() {
            self.put(Piece::Ours(held));
        }
    }

    /// Writes all of what waits.
    pub(super) async fn write_all(&mut self) -> io::Result<Written> {
        let mut last = Written::default();
        while self.is_behind() {
            let Written { end, undo } = self.write().await?;
            last = Written { end: end.or(last.end), undo: undo.or(last.undo) };
        }
        self.target.flush().await?;
        Ok(last)
    }

    fn is_terminal(&self) -> bool {
        matches!(self.target, Target::Terminal(_))
    }

    fn put(&mut self, piece: Piece) {
        if self.said < MAX_SAID {
            self.said += piece.len();
            self.waiting.push_back(piece);
        }
    }

    /// Takes away what was written whole; gives the offset behind it.
    fn pop(&mut self) -> Option<u64> {
        if let Some(Piece::Output { end, .. }) = self.waiting.pop_front() {
            return Some(end);
        }
        self.said = self.waiting.iter().filter(|piece| piece.is_ours()).map(Piece::len).sum();
        None
    }
}

impl Target {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            _ if bytes.is_empty() => Ok(0),
            Self::Terminal(terminal) => terminal.write(bytes).await,
            Self::Piped(stdout) => {
                // One piece at a time: what counts as written is with the reader, but for the last one.
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

impl Piece {
    fn is_ours(&self) -> bool {
        !matches!(self, Self::Output { .. })
    }

    fn len(&self) -> usize {
        match self {
            Self::Output { bytes, .. } | Self::Ours(bytes) => bytes.len(),
            Self::Notice(sentence) => sentence.len(),
            Self::Undo => 0,
        }
    }
}

/// A sentence of ours for a screen in these modes. On the alternate one it stands in the last line, so that nothing moves
/// that a program has drawn; elsewhere on a line of its own.
fn formed(sentence: &str, modes: &Modes) -> String {
    let lines: Vec<_> = sentence.lines().map(escape::line).collect();
    let end_of_sequence = if modes.is_in_sequence() { "\x18" } else { "" };
    if modes.is_alternate() {
        let line = lines.join("; ");
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

    /// A screen, and who looks at it.
    fn screen() -> (Screen, File) {
        let pty = openpty(None, None).unwrap();
        let mut raw = termios::tcgetattr(&pty.slave).unwrap();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&pty.slave, termios::SetArg::TCSANOW, &raw).unwrap();
        fcntl(&pty.slave, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        (Screen::terminal(pty.slave.into()).unwrap(), pty.master.into())
    }

    fn text(bytes: &'static str) -> Bytes {
        Bytes::from_static(bytes.as_bytes())
    }

    /// Writes all of it, and checks what is seen.
    async fn check(mut screen: Screen, mut reader: File, expected: &str) {
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
        assert_eq!(screen.write().await.unwrap(), Written { end: Some(3), undo: None });
        let undo = Some("\x1b[?25h\x1b[0m".to_owned());
        assert_eq!(screen.write().await.unwrap(), Written { end: Some(9), undo });
        assert!(!screen.is_behind());
    }

    #[tokio::test]
    async fn what_we_say_stands_on_a_harmless_line_of_its_own() {
        let (mut screen, reader) = screen();
        screen.show(text("$ "), 2);
        screen.say("who\x1b[2J");
        check(screen, reader, "$ \r\n\x1b[2m[hive: who\\u{1b}[2J]\x1b[22m\r\n").await;
    }

    #[tokio::test]
    async fn on_the_alternate_screen_it_moves_nothing() {
        let (mut screen, reader) = screen();
        screen.show(text("\x1b[?1049h"), 8);
        screen.say("one\ntwo");
        check(screen, reader, "\x1b[?1049h\x1b7\x1b[999;1H\x1b[0;2m\x1b[2K[hive: one; two]\x1b[0m\x1b8").await;
    }

    #[tokio::test]
    async fn it_does_not_end_up_inside_of_a_sequence() {
        let (mut screen, reader) = screen();
        screen.show(text("\x1b[3"), 3);
        screen.say("away");
        screen.reset("\x1b[?7l");
        check(screen, reader, "\x1b[3\x18\r\n\x1b[2m[hive: away]\x1b[22m\r\n\x18\x1bc\x1b[?7l").await;
    }

    #[tokio::test]
    async fn it_does_not_end_up_inside_of_a_character() {
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
    async fn the_last_words_stand_on_a_terminal_that_was_brought_back() {
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
        assert!(screen.waiting.iter().map(Piece::len).sum::<usize>() < 1024 * 1024 + 2 * MAX_SAID);
        screen.leave(None);
        assert_eq!(screen.len(), 0);
    }
}
