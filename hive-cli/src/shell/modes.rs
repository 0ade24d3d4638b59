//! Tracks the modes that a session sets on the user's terminal, and the sequences that undo them.
//!
//! It follows the few escape sequences that make a terminal unusable for the next program: the alternate screen,
//! mouse reports, bracketed paste, hidden cursor and the like. It is no emulator.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const ESCAPE: u8 = 0x1b;
/// The longest control sequence that is parsed. The rest of a longer one counts as text.
const MAX_SEQUENCE: usize = 64;
/// The private modes that switch to the alternate screen.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];
/// Private modes that are off by default.
const OFF: [u16; 17] = [1, 9, 47, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004, 2026, 2031];
/// Private modes that are on by default.
const ON: [u16; 2] = [7, 25];

/// The modes of a terminal, according to the bytes written to it.
#[derive(Debug, Default)]
pub(super) struct ModeTracker {
    state: ParserState,
    /// The modes that differ from the default.
    changed: BTreeSet<Mode>,
    /// Modes of the kitty keyboard protocol on the terminal's stack.
    keyboards: u16,
}

/// A mode that a session may change, in the order in which it is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    OtherKeys,
    Keypad,
    CursorShape,
    Margins,
    Private(u16),
}

#[derive(Debug, Default)]
enum ParserState {
    #[default]
    Text,
    Escape,
    /// Within a control sequence: its bytes so far.
    Sequence(Vec<u8>),
}

impl ModeTracker {
    /// Takes bytes that were written to the terminal. Returns whether a mode may have changed.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut is_changed = false;
        loop {
            // Nearly all output is text: it is skipped without a look at each byte.
            if matches!(self.state, ParserState::Text) {
                let Some(start) = bytes.iter().position(|&byte| byte == ESCAPE) else { return is_changed };
                bytes = &bytes[start..];
            }
            let Some((&byte, rest)) = bytes.split_first() else { return is_changed };
            is_changed |= self.on_byte(byte);
            bytes = rest;
        }
    }

    /// Whether the last sequence is not complete yet.
    pub(super) fn is_in_sequence(&self) -> bool {
        !matches!(self.state, ParserState::Text)
    }

    /// Whether the terminal shows its alternate screen.
    pub(super) fn is_alternate(&self) -> bool {
        ALTERNATE.iter().any(|&mode| self.changed.contains(&Mode::Private(mode)))
    }

    /// Returns the sequences that undo the modes.
    pub(super) fn undo(&self) -> String {
        // CAN aborts a sequence that was cut off. It would swallow the first bytes that follow.
        let mut undo = String::from(if self.is_in_sequence() { "\x18" } else { "" });
        if self.keyboards > 0 {
            let _ = write!(undo, "\x1b[<{}u", self.keyboards);
        }
        self.changed.iter().for_each(|mode| undo.push_str(&mode.undo()));
        undo.push_str("\x1b[0m");
        undo
    }

    fn on_byte(&mut self, byte: u8) -> bool {
        match (std::mem::take(&mut self.state), byte) {
            // ESC within a sequence aborts it and begins a new one (ECMA-48 parsers, and xterm, do the same).
            (_, ESCAPE) => self.state = ParserState::Escape,
            (ParserState::Escape, b'[') => self.state = ParserState::Sequence(Vec::new()),
            (ParserState::Escape, _) => return self.on_escape(byte),
            (ParserState::Sequence(sequence), 0x40..=0x7e) => return self.on_sequence(&sequence, byte),
            (ParserState::Sequence(mut sequence), 0x20..=0x3f) if sequence.len() < MAX_SEQUENCE => {
                sequence.push(byte);
                self.state = ParserState::Sequence(sequence);
            }
            _ => {}
        }
        false
    }

    fn on_escape(&mut self, byte: u8) -> bool {
        match byte {
            b'=' => self.note(Mode::Keypad, true),
            b'>' => self.note(Mode::Keypad, false),
            // RIS, the full reset: the terminal is in its default modes again.
            b'c' => *self = Self::default(),
            _ => return false,
        }
        true
    }

    fn on_sequence(&mut self, sequence: &[u8], last: u8) -> bool {
        let text = std::str::from_utf8(sequence).unwrap_or_default();
        match (text.split_at_checked(1), last) {
            (Some(("?", modes)), b'h' | b'l') => modes.split(';').for_each(|mode| self.on_private(mode, last == b'h')),
            (Some((">", keys)), b'm') => self.note(Mode::OtherKeys, is_other_keys(keys)),
            // Kitty keyboard protocol: CSI > u pushes a mode, CSI < n u pops n of them.
            (Some((">", _)), b'u') => self.keyboards = self.keyboards.saturating_add(1),
            (Some(("<", times)), b'u') => {
                self.keyboards = self.keyboards.saturating_sub(times.parse().unwrap_or(1));
            }
            // DECSCUSR has a space before its final byte; 0 is the default shape.
            (_, b'q') if text.ends_with(' ') => self.note(Mode::CursorShape, !matches!(text, " " | "0 ")),
            (_, b'r') if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';')) => {
                self.note(Mode::Margins, !text.is_empty());
            }
            _ => return false,
        }
        true
    }

    fn on_private(&mut self, mode: &str, is_set: bool) {
        let Ok(mode) = mode.parse() else { return };
        if OFF.contains(&mode) {
            self.note(Mode::Private(mode), is_set);
        } else if ON.contains(&mode) {
            self.note(Mode::Private(mode), !is_set);
        }
    }

    fn note(&mut self, mode: Mode, is_changed: bool) {
        if is_changed {
            self.changed.insert(mode);
        } else {
            self.changed.remove(&mode);
        }
    }
}

impl Mode {
    fn undo(self) -> Cow<'static, str> {
        match self {
            Self::OtherKeys => "\x1b[>4m".into(),
            Self::Keypad => "\x1b>".into(),
            Self::CursorShape => "\x1b[0 q".into(),
            // DECSTBM moves the cursor home: it is saved before and restored after.
            Self::Margins => "\x1b7\x1b[r\x1b8".into(),
            Self::Private(mode) => format!("\x1b[?{mode}{}", if ON.contains(&mode) { 'h' } else { 'l' }).into(),
        }
    }
}

/// Whether `modifyOtherKeys`, resource 4, is set to something.
fn is_other_keys(parameters: &str) -> bool {
    let mut parameters = parameters.split(';');
    parameters.next() == Some("4") && parameters.next().is_some_and(|value| !matches!(value, "" | "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(output: &str) -> ModeTracker {
        let mut modes = ModeTracker::default();
        modes.feed(output.as_bytes());
        modes
    }

    /// Checks what undoes an output, but for the colours.
    fn check(output: &str, expected: &str) {
        assert_eq!(after(output).undo(), format!("{expected}\x1b[0m"), "{output:?}");
        let mut modes = ModeTracker::default();
        for byte in output.bytes() {
            modes.feed(&[byte]);
        }
        assert_eq!(modes.undo(), format!("{expected}\x1b[0m"), "{output:?}, byte by byte");
    }

    #[test]
    fn plain_text_needs_no_undoing() {
        check("", "");
        check("text \x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x1b[5;5H", "");
        check("\x1b[?12345h\x1b[?12l\x1b[4h", "");
    }

    #[test]
    fn a_full_screen_program_that_was_cut_off_is_undone() {
        check(
            "\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?25l\x1b[1;24r",
            "\x1b>\x1b7\x1b[r\x1b8\x1b[?1l\x1b[?25h\x1b[?1049l\x1b[?2004l",
        );
        check("\x1b[?1000;1006h\x1b[?1004h", "\x1b[?1000l\x1b[?1004l\x1b[?1006l");
        check("\x1b[>1u\x1b[>4;2m\x1b[6 q", "\x1b[<1u\x1b[>4m\x1b[0 q");
    }

    #[test]
    fn what_a_program_undid_itself_is_left_alone() {
        check("\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l", "");
        check("\x1b=\x1b[1;9r\x1b[6 q\x1b[>1u\x1b[>4;1m\x1b[>4m\x1b[<u\x1b[0 q\x1b[r\x1b>", "");
        check("\x1b[?1049h\x1b[?1002h\x1bc", "");
    }

    #[test]
    fn a_sequence_that_was_cut_off_is_closed() {
        check("text\x1b[?10", "\x18");
        check("\x1b", "\x18");
        assert!(!after("text").is_in_sequence());
    }

    #[test]
    fn the_alternate_screen_is_known() {
        assert!(after("\x1b[?1049h").is_alternate());
        assert!(!after("\x1b[?1049h\x1b[?1049l").is_alternate());
    }

    #[test]
    fn a_sequence_without_end_is_not_kept() {
        let modes = after(&format!("\x1b[{}", "1;".repeat(10_000)));
        assert!(!modes.is_in_sequence());
    }

    #[test]
    fn a_change_is_noticed() {
        let mut modes = ModeTracker::default();
        assert!(!modes.feed(b"text\x1b[31m"));
        assert!(!modes.feed(b"\x1b[?10"));
        assert!(modes.feed(b"49h"));
    }
}
