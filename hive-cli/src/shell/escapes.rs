//! Splits what is typed into keys for the session and escape commands for this program.
//!
//! An escape command is a tilde at the start of a line and one more key, as with ssh. Its letters are capitals, because
//! paths such as `~kim` begin with a small letter. Only that tilde is held back until the next key is there; nothing
//! else ever waits. Pasted text holds no commands, if the terminal marks it as pasted.

use bytes::Bytes;

/// Marks the beginning of pasted text (bracketed paste, xterm).
const PASTE_START: &[u8] = b"\x1b[200~";
/// Marks the end of pasted text.
const PASTE_END: &[u8] = b"\x1b[201~";

/// A command of the user to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EscapeCommand {
    /// Detach; the session goes on.
    Detach,
    /// Say which commands there are.
    Help,
    /// End the session.
    End,
    /// Take the keyboard.
    Take,
    /// Ask for the keyboard.
    Ask,
    /// Give the keyboard to the viewer that asked last.
    Grant,
}

/// What the commands are, one a line.
pub(crate) const HELP: &str = "\
~.  detach; the session goes on
~K  end the session and all its processes
~R  ask for the keyboard
~T  take the keyboard
~G  give the keyboard to the viewer that asked last
~~  type a tilde
~?  this help
They are recognized at the start of a line.";

impl EscapeCommand {
    fn from_key(key: u8) -> Option<Self> {
        match key {
            b'.' => Some(Self::Detach),
            b'?' => Some(Self::Help),
            b'K' => Some(Self::End),
            b'T' => Some(Self::Take),
            b'R' => Some(Self::Ask),
            b'G' => Some(Self::Grant),
            _ => None,
        }
    }
}

/// A part of what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ParsedInput {
    /// For the session, unchanged.
    Keys(Bytes),
    /// For this program.
    Command(EscapeCommand),
}

/// Finds the commands in what is typed, however the reads split it.
#[derive(Debug, Default)]
pub(super) struct EscapeParser {
    position: LinePosition,
    paste: PasteTracker,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum LinePosition {
    #[default]
    LineStart,
    InLine,
    /// After a tilde that is held back.
    Tilde,
}

impl EscapeParser {
    /// Takes what was read. The keys may be one byte more than that: the tilde that was held back.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<ParsedInput> {
        let mut typed = Vec::new();
        let mut keys = Vec::with_capacity(bytes.len() + 1);
        for &key in bytes {
            if let Some(command) = self.on_key(key, &mut keys) {
                typed.extend(take_keys(&mut keys));
                typed.push(ParsedInput::Command(command));
            }
        }
        typed.extend(take_keys(&mut keys));
        typed
    }

    fn on_key(&mut self, key: u8, keys: &mut Vec<u8>) -> Option<EscapeCommand> {
        self.paste.on_key(key);
        match (self.position, key) {
            (LinePosition::LineStart, b'~') if !self.paste.is_inside => self.position = LinePosition::Tilde,
            (LinePosition::Tilde, b'~') => {
                keys.push(b'~');
                self.position = LinePosition::InLine;
            }
            (LinePosition::Tilde, _) => {
                if let Some(command) = EscapeCommand::from_key(key) {
                    // Commands may follow each other: the line has not begun for the session.
                    self.position = LinePosition::LineStart;
                    return Some(command);
                }
                // No command: both keys are for the session, in their order.
                keys.extend([b'~', key]);
                self.position = position_after(key);
            }
            _ => {
                keys.push(key);
                self.position = position_after(key);
            }
        }
        None
    }
}

fn position_after(key: u8) -> LinePosition {
    if matches!(key, b'\r' | b'\n') { LinePosition::LineStart } else { LinePosition::InLine }
}

fn take_keys(keys: &mut Vec<u8>) -> Option<ParsedInput> {
    (!keys.is_empty()).then(|| ParsedInput::Keys(std::mem::take(keys).into()))
}

/// Tracks whether input is pasted, as a terminal in bracketed paste mode marks it.
#[derive(Debug, Default)]
struct PasteTracker {
    is_inside: bool,
    /// How many bytes of the next mark have come.
    matched: usize,
}

impl PasteTracker {
    fn on_key(&mut self, key: u8) {
        let mark = if self.is_inside { PASTE_END } else { PASTE_START };
        if key == mark[self.matched] {
            self.matched += 1;
        } else {
            // No mark contains its first byte (ESC) twice, so a mismatch can only begin a new match.
            self.matched = usize::from(key == mark[0]);
        }
        if self.matched == mark.len() {
            *self = Self { is_inside: !self.is_inside, matched: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> ParsedInput {
        ParsedInput::Keys(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Checks what each of the reads gives.
    fn check(reads: &[&str], expected: &[ParsedInput]) {
        let mut escapes = EscapeParser::default();
        let typed: Vec<ParsedInput> = reads.iter().flat_map(|read| escapes.read(read.as_bytes())).collect();
        assert_eq!(typed, expected, "{reads:?}");
    }

    #[test]
    fn an_escape_command_stands_at_the_start_of_a_line() {
        check(&["~."], &[ParsedInput::Command(EscapeCommand::Detach)]);
        check(&["ls\r~?"], &[keys("ls\r"), ParsedInput::Command(EscapeCommand::Help)]);
        check(&["ls\n~K"], &[keys("ls\n"), ParsedInput::Command(EscapeCommand::End)]);
        check(
            &["~T~R~G"],
            &[
                ParsedInput::Command(EscapeCommand::Take),
                ParsedInput::Command(EscapeCommand::Ask),
                ParsedInput::Command(EscapeCommand::Grant),
            ],
        );
    }

    #[test]
    fn an_escape_command_may_be_split_over_reads() {
        check(&["ls\r", "~", "."], &[keys("ls\r"), ParsedInput::Command(EscapeCommand::Detach)]);
        check(&["~", "x"], &[keys("~x")]);
        check(&["~", "~", "."], &[keys("~"), keys(".")]);
    }

    #[test]
    fn within_a_line_a_tilde_is_a_tilde() {
        check(&["ls ~.", "~K"], &[keys("ls ~."), keys("~K")]);
        check(&["a", "~."], &[keys("a"), keys("~.")]);
    }

    #[test]
    fn other_keys_after_a_tilde_are_typed() {
        check(&["~/bin/x\r"], &[keys("~/bin/x\r")]);
        check(&["~~."], &[keys("~.")]);
        check(&["~\r~."], &[keys("~\r"), ParsedInput::Command(EscapeCommand::Detach)]);
        check(&["~\x1b[A"], &[keys("~\x1b[A")]);
    }

    #[test]
    fn an_escape_command_may_follow_another() {
        check(&["~?~."], &[ParsedInput::Command(EscapeCommand::Help), ParsedInput::Command(EscapeCommand::Detach)]);
        check(&["~?x~."], &[ParsedInput::Command(EscapeCommand::Help), keys("x~.")]);
    }

    #[test]
    fn every_key_but_that_tilde_is_passed_on_at_once() {
        let mut escapes = EscapeParser::default();
        for key in ["\r", "a", "\x1b", "[", "A", "\x03", "\u{e4}", "\r"] {
            assert_eq!(escapes.read(key.as_bytes()), [keys(key)]);
        }
        assert_eq!(escapes.read(b"~"), []);
        assert_eq!(escapes.read(b"a"), [keys("~a")]);
    }

    #[test]
    fn pasted_text_holds_no_escape_commands() {
        check(&["\x1b[200~a\r~kim\r\x1b[201~"], &[keys("\x1b[200~a\r~kim\r\x1b[201~")]);
        check(
            &["\x1b[20", "0~\r", "~K", "\x1b[201~\r~."],
            &[
                keys("\x1b[20"),
                keys("0~\r"),
                keys("~K"),
                keys("\x1b[201~\r"),
                ParsedInput::Command(EscapeCommand::Detach),
            ],
        );
    }

    #[test]
    fn the_help_names_every_escape_command() {
        for key in 0..=127 {
            if EscapeCommand::from_key(key).is_some() {
                assert!(HELP.contains(&format!("~{} ", char::from(key))), "{}", char::from(key));
            }
        }
    }

    /// The keys that go on, and the commands, do not depend on how what was typed is cut up.
    #[test]
    fn the_split_into_reads_does_not_matter() {
        let text = b"~?ls ~.\r~~x\r\x1b[200~\r~K\x1b[201~\r~/a\n~~\r~T~\r~.";
        let flat = |cut: usize| {
            let mut escapes = EscapeParser::default();
            let mut flat = Vec::new();
            for typed in text.chunks(cut).flat_map(|read| escapes.read(read)) {
                match typed {
                    ParsedInput::Keys(keys) => flat.extend(keys.iter().map(|&key| Ok(key))),
                    ParsedInput::Command(command) => flat.push(Err(command)),
                }
            }
            flat
        };
        for cut in 1..text.len() {
            assert_eq!(flat(cut), flat(text.len()), "{cut}");
        }
    }
}
