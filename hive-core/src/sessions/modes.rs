//! The modes a terminal is in, read from its output as it passes: no screen, no emulation.
//!
//! Whoever joins late or was left behind gets them first, so that arrow keys, the mouse and the alternate screen work as the
//! program believes they do.

use std::collections::VecDeque;

const ESC: u8 = 0x1b;
/// The longest sequence that can say anything here; longer ones are passed over.
const MAX_SEQUENCE: usize = 32;
/// Output that is searched at once for the next escape character.
const STRIDE: usize = 1024;

/// The private modes that are kept, by number, and whether a fresh terminal has them. Left out is what is an action rather
/// than a mode (1048), what changes the size (3) and what holds the screen back for a moment (2026).
const PRIVATE: [(u16, bool); 21] = [
    (1, false),
    (5, false),
    (6, false),
    (7, true),
    (9, false),
    (12, false),
    (25, true),
    (45, false),
    (47, false),
    (66, false),
    (1000, false),
    (1002, false),
    (1003, false),
    (1004, false),
    (1005, false),
    (1006, false),
    (1015, false),
    (1016, false),
    (1047, false),
    (1049, false),
    (2004, false),
];
/// The modes that show the alternate screen.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];

/// The modes of a terminal, and the sequence its output is in the middle of.
#[derive(Debug, Clone, Default)]
pub(super) struct TerminalModes {
    /// A bit for each of `PRIVATE` that is not as in a fresh terminal.
    changed: u32,
    has_keypad: bool,
    /// The parameter of DECSCUSR; none for the terminal's own cursor.
    cursor: Option<u8>,
    state: ScanState,
    sequence: [u8; MAX_SEQUENCE],
    len: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ScanState {
    #[default]
    Text,
    Escape,
    Control,
}

impl TerminalModes {
    /// Takes in output.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.state == ScanState::Text {
                let Some(escape) = find_escape(bytes) else { return };
                self.state = ScanState::Escape;
                bytes = &bytes[escape + 1..];
            } else {
                self.step(bytes[0]);
                bytes = &bytes[1..];
            }
        }
    }

    /// Whether the alternate screen is shown: a program draws it, and can draw it anew.
    pub(super) fn is_alternate_screen(&self) -> bool {
        let is_on = |(index, (number, _)): (usize, &(u16, bool))| {
            ALTERNATE.contains(number) && self.changed & (1 << index) != 0
        };
        PRIVATE.iter().enumerate().any(is_on)
    }

    /// Returns the sequences that bring a fresh terminal into these modes. The alternate screen comes first: the others
    /// count for it.
    pub(super) fn restore_sequence(&self) -> String {
        let mut all = String::new();
        for (index, (number, is_default)) in PRIVATE.iter().enumerate().rev() {
            if self.changed & (1 << index) != 0 {
                let action = if *is_default { 'l' } else { 'h' };
                let sequence = format!("\x1b[?{number}{action}");
                if ALTERNATE.contains(number) {
                    all.insert_str(0, &sequence);
                } else {
                    all.push_str(&sequence);
                }
            }
        }
        if self.has_keypad {
            all.push_str("\x1b=");
        }
        if let Some(cursor) = self.cursor {
            all.extend(["\x1b[", &cursor.to_string(), " q"]);
        }
        all
    }

    fn step(&mut self, byte: u8) {
        match (self.state, byte) {
            (_, ESC) => self.state = ScanState::Escape,
            // CAN and SUB end a sequence without effect.
            (_, 0x18 | 0x1a) => self.state = ScanState::Text,
            (ScanState::Escape, b'[') => {
                self.state = ScanState::Control;
                self.len = 0;
            }
            (ScanState::Escape, byte) => {
                self.state = ScanState::Text;
                self.escape(byte);
            }
            (ScanState::Control, 0x40..=0x7e) => {
                self.state = ScanState::Text;
                self.control(byte);
            }
            // Control characters within a sequence act on their own.
            (ScanState::Control, 0x20..=0x3f) => self.collect(byte),
            _ => {}
        }
    }

    fn collect(&mut self, byte: u8) {
        if let Some(slot) = self.sequence.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        } else {
            self.state = ScanState::Text;
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'=' => self.has_keypad = true,
            b'>' => self.has_keypad = false,
            b'c' => *self = Self::default(),
            _ => {}
        }
    }

    fn control(&mut self, last: u8) {
        let sequence = self.sequence;
        match (&sequence[..self.len], last) {
            ([b'?', numbers @ ..], b'h' | b'l') => {
                for number in numbers.split(|byte| *byte == b';').filter_map(number) {
                    self.set(number, last == b'h');
                }
            }
            ([parameter @ .., b' '], b'q') => {
                self.cursor = number(parameter).and_then(|style| u8::try_from(style).ok()).filter(|style| *style > 0);
            }
            // A soft reset.
            (b"!", b'p') => {
                for (number, is_default) in [(1, false), (6, false), (25, true), (66, false)] {
                    self.set(number, is_default);
                }
                self.has_keypad = false;
            }
            _ => {}
        }
    }

    fn set(&mut self, number: u16, is_on: bool) {
        let Some(index) = PRIVATE.iter().position(|(known, _)| *known == number) else { return };
        let bit = 1 << index;
        if is_on == PRIVATE[index].1 {
            self.changed &= !bit;
        } else {
            self.changed |= bit;
        }
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Finds the first escape character. `contains` is much faster than `position`, and there mostly is none.
fn find_escape(bytes: &[u8]) -> Option<usize> {
    let stride = bytes.chunks(STRIDE).position(|stride| stride.contains(&ESC))? * STRIDE;
    let within = bytes[stride..].iter().position(|byte| *byte == ESC)?;
    Some(stride + within)
}

/// The modes at each place of the last output, for those who begin there.
#[derive(Debug)]
pub(super) struct ModeCheckpoints {
    now: TerminalModes,
    /// Whether modes may have been set by output that was not seen here.
    has_missed_output: bool,
    /// The modes at some offsets, the oldest first.
    before: VecDeque<(u64, TerminalModes)>,
    reach: u64,
}

/// Output between two places whose modes are noted.
const STEP: u64 = 16 * 1024;

impl ModeCheckpoints {
    /// The checkpoints of output that begins at `offset`, good for the last `reach` bytes.
    pub(super) fn starting_at(offset: u64, reach: u64) -> Self {
        let before = [(offset, TerminalModes::default())].into();
        Self { now: TerminalModes::default(), has_missed_output: offset > 0, before, reach }
    }

    /// Takes in output that begins at `offset`.
    pub(super) fn scan(&mut self, offset: u64, bytes: &[u8]) {
        self.now.scan(bytes);
        let end = offset + bytes.len() as u64;
        if self.before.back().is_none_or(|(last, _)| end >= last + STEP) {
            self.before.push_back((end, self.now.clone()));
        }
        while self.before.get(1).is_some_and(|(next, _)| next + self.reach <= end) {
            self.before.pop_front();
        }
    }

    /// Goes on at `offset`: what lies between is lost.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.has_missed_output = true;
        self.before = [(offset, self.now.clone())].into();
    }

    /// Whether a program is to draw its screen anew for one who comes late: it has the alternate screen, or nobody knows.
    pub(super) fn wants_redraw(&self) -> bool {
        self.has_missed_output || self.now.is_alternate_screen()
    }

    /// Returns the modes at a place before `offset`, and the place: to be brought to `offset` by what lies between.
    pub(super) fn before(&self, offset: u64) -> (u64, TerminalModes) {
        let found = self.before.iter().rev().find(|(place, _)| *place <= offset);
        found.cloned().unwrap_or_else(|| (offset, self.now.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(output: &str) -> TerminalModes {
        let mut modes = TerminalModes::default();
        modes.scan(output.as_bytes());
        modes
    }

    fn check(output: &str, restore_sequence: &str) {
        assert_eq!(after(output).restore_sequence(), restore_sequence, "after {output:?}");
    }

    #[test]
    fn modes_are_read_from_output() {
        check("plain text\r\n", "");
        check("\x1b[?25l", "\x1b[?25l");
        check("\x1b[?25l\x1b[?25h", "");
        check("\x1b[?1;1000;2004h", "\x1b[?2004h\x1b[?1000h\x1b[?1h");
        check("\x1b[?25l\x1b[?1049h\x1b=", "\x1b[?1049h\x1b[?25l\x1b=");
        check("\x1b=\x1b>", "");
        check("\x1b[5 q", "\x1b[5 q");
        check("\x1b[5 q\x1b[0 q", "");
        check("\x1b[5 q\x1b[ q", "");
    }

    #[test]
    fn a_reset_ends_all_modes() {
        check("\x1b[?1049h\x1b[?7l\x1b=\x1b[3 q\x1bc", "");
        check("\x1b[?1h\x1b[?25l\x1b[?2004h\x1b=\x1b[!p", "\x1b[?2004h");
    }

    #[test]
    fn what_is_not_a_mode_changes_nothing() {
        check("\x1b[4h\x1b[31m\x1b[?3h\x1b[?2026h\x1b[?1048h\x1b[?99999999h", "");
        check("\x1b[?2\x185l\x1b]0;a title\x07\x1b(0", "");
        check(&format!("\x1b[?{}l", "25;".repeat(20)), "");
        check("\x1b[?2\n5l", "\x1b[?25l");
    }

    #[test]
    fn the_alternate_screen_is_known() {
        assert!(after("\x1b[?1049h").is_alternate_screen());
        assert!(after("\x1b[?47h").is_alternate_screen());
        assert!(!after("\x1b[?1049h\x1b[?1049l\x1b[?25l").is_alternate_screen());
    }

    #[test]
    fn the_trail_knows_the_modes_of_a_place_in_the_past() {
        let mut checkpoints = ModeCheckpoints::starting_at(0, 64 * 1024);
        let (mut offset, text) = (0, "x".repeat(40_000));
        for output in ["\x1b[?1049h", &text, "\x1b[?1049l", &text, &text] {
            checkpoints.scan(offset, output.as_bytes());
            offset += output.len() as u64;
        }
        assert!(!checkpoints.wants_redraw());
        let (place, modes) = checkpoints.before(50_008);
        assert_eq!((place, modes.is_alternate_screen()), (40_008, true));
        assert!(!checkpoints.before(offset).1.is_alternate_screen());
        assert!(checkpoints.before.len() < 6, "what is out of reach is forgotten");
    }

    proptest! {
        #[test]
        fn borders_of_pieces_do_not_matter(
            parts in proptest::collection::vec(prop_oneof![
                Just("\x1b[?25l"), Just("\x1b[?1;1049h"), Just("\x1b[?1049l"), Just("\x1b="), Just("\x1bc"),
                Just("\x1b[4 q"), Just("text"), Just("\x1b["), Just("\x1b"), Just("\x1b[!p"), Just("\u{1f41d}"),
            ], 0..30),
            sizes in proptest::collection::vec(1usize..7, 1..50),
        ) {
            let output = parts.concat();
            let (mut modes, mut rest) = (TerminalModes::default(), output.as_bytes());
            for size in sizes.iter().cycle() {
                let (now, later) = rest.split_at((*size).min(rest.len()));
                modes.scan(now);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(modes.restore_sequence(), after(&output).restore_sequence());
        }

        /// A terminal that takes the restore_sequence is in the same modes.
        #[test]
        fn the_prelude_says_it_all(changed in 0u32..1 << PRIVATE.len(), has_keypad: bool, cursor in proptest::option::of(1u8..7)) {
            let modes = TerminalModes { changed, has_keypad, cursor, ..TerminalModes::default() };
            let copy = after(&modes.restore_sequence());
            prop_assert_eq!((copy.changed, copy.has_keypad, copy.cursor), (changed, has_keypad, cursor));
        }

        #[test]
        fn any_output_is_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            TerminalModes::default().scan(&bytes);
        }
    }
}
