//! The modes of a terminal, read from the output of its session. There is no screen and no emulation.
//!
//! A viewer that joins late or fell behind gets the modes first. Then arrow keys, the mouse and the alternate screen work as
//! the program expects.

use std::collections::VecDeque;

const ESC: u8 = 0x1b;
/// The longest sequence that is parsed. Longer ones are skipped.
const MAX_SEQUENCE: usize = 32;
/// The number of bytes that are searched at once for the next escape character.
const STRIDE: usize = 1024;

/// The private modes (DECSET, `CSI ? n h`) that are restored: the number, and whether a fresh terminal has it set. Not
/// included: 1048, which is an action (save the cursor); 3, which changes the size; 2026, which delays the screen for a moment
/// only.
const PRIVATE: [(u16, bool); 21] = [
    (1, false),    // DECCKM: arrow keys send application sequences.
    (5, false),    // DECSCNM: reverse video.
    (6, false),    // DECOM: the cursor's origin is the scrolling region.
    (7, true),     // DECAWM: lines wrap at the right margin.
    (9, false),    // X10 mouse reports: presses only.
    (12, false),   // The cursor blinks.
    (25, true),    // DECTCEM: the cursor is visible.
    (45, false),   // Reverse wraparound.
    (47, false),   // Alternate screen, the oldest form.
    (66, false),   // DECNKM: the keypad sends application sequences.
    (1000, false), // Mouse reports: presses and releases.
    (1002, false), // Mouse reports: also motion while a button is pressed.
    (1003, false), // Mouse reports: all motion.
    (1004, false), // Reports of the focus.
    (1005, false), // Mouse coordinates in UTF-8.
    (1006, false), // Mouse coordinates in SGR form.
    (1015, false), // Mouse coordinates in urxvt form.
    (1016, false), // Mouse coordinates in pixels, in SGR form.
    (1047, false), // Alternate screen, cleared when it is left.
    (1049, false), // Alternate screen, with the cursor saved and the screen cleared.
    (2004, false), // Bracketed paste.
];
/// The modes that show the alternate screen.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];

/// The modes of a terminal, and the sequence that its output has begun.
#[derive(Debug, Clone, Default)]
pub(super) struct TerminalModes {
    /// A bit for each entry of `PRIVATE` that differs from a fresh terminal.
    changed: u32,
    /// DECKPAM: the keypad sends application sequences.
    has_keypad: bool,
    /// The parameter of DECSCUSR, the shape of the cursor; `None` for the terminal's default.
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
    /// Reads output. A sequence may be split over several calls.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.state == ScanState::Text {
                // Text is skipped as a whole. Every byte of every session passes here under the session's lock.
                let Some(escape) = find_escape(bytes) else { return };
                self.state = ScanState::Escape;
                bytes = &bytes[escape + 1..];
            } else {
                self.step(bytes[0]);
                bytes = &bytes[1..];
            }
        }
    }

    /// Whether the alternate screen is shown. A full-screen program draws it, and can redraw it.
    pub(super) fn is_alternate_screen(&self) -> bool {
        let is_on = |(index, (number, _)): (usize, &(u16, bool))| {
            ALTERNATE.contains(number) && self.changed & (1 << index) != 0
        };
        PRIVATE.iter().enumerate().any(is_on)
    }

    /// Returns the sequences that set these modes on a fresh terminal. The alternate screen comes first, so that the other
    /// modes are set while it is shown.
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
            // ESC cancels an unfinished sequence and begins a new one.
            (_, ESC) => self.state = ScanState::Escape,
            // CAN and SUB end a sequence without effect.
            (_, 0x18 | 0x1a) => self.state = ScanState::Text,
            (ScanState::Escape, b'[') => {
                self.state = ScanState::Control;
                self.len = 0;
            }
            // Strings (OSC, DCS) are not tracked. Their content counts as text: the next ESC ends them in any case.
            (ScanState::Escape, byte) => {
                self.state = ScanState::Text;
                self.escape(byte);
            }
            (ScanState::Control, 0x40..=0x7e) => {
                self.state = ScanState::Text;
                self.control(byte);
            }
            (ScanState::Control, 0x20..=0x3f) => self.collect(byte),
            // A control character within a sequence is executed and is not part of it.
            _ => {}
        }
    }

    fn collect(&mut self, byte: u8) {
        if let Some(slot) = self.sequence.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        } else {
            // The rest of a sequence that is too long contains no ESC. It is harmless as text.
            self.state = ScanState::Text;
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'=' => self.has_keypad = true,  // DECKPAM
            b'>' => self.has_keypad = false, // DECKPNM
            // RIS, the full reset.
            b'c' => *self = Self::default(),
            _ => {}
        }
    }

    fn control(&mut self, last: u8) {
        let sequence = self.sequence;
        match (&sequence[..self.len], last) {
            // DECSET and DECRST. Without the question mark they set ANSI modes, which are not restored.
            ([b'?', numbers @ ..], b'h' | b'l') => {
                for number in numbers.split(|byte| *byte == b';').filter_map(number) {
                    self.set(number, last == b'h');
                }
            }
            // DECSCUSR. An absent parameter means 0, the terminal's default.
            ([parameter @ .., b' '], b'q') => {
                self.cursor = number(parameter).and_then(|style| u8::try_from(style).ok()).filter(|style| *style > 0);
            }
            // DECSTR, the soft reset. It leaves the mouse and the alternate screen as they are.
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

/// Finds the first escape character. `contains` is much faster than `position`, and most output has no escape character.
fn find_escape(bytes: &[u8]) -> Option<usize> {
    let stride = bytes.chunks(STRIDE).position(|stride| stride.contains(&ESC))? * STRIDE;
    let within = bytes[stride..].iter().position(|byte| *byte == ESC)?;
    Some(stride + within)
}

/// The modes at any offset of the recent output, for viewers that begin there.
#[derive(Debug)]
pub(super) struct ModeCheckpoints {
    now: TerminalModes,
    /// Whether output was lost, or was sent before this process started. It may have set modes that are unknown here.
    has_missed_output: bool,
    /// The modes at some offsets, the oldest first.
    before: VecDeque<(u64, TerminalModes)>,
    reach: u64,
}

/// The least number of bytes between two checkpoints.
const STEP: u64 = 16 * 1024;

impl ModeCheckpoints {
    /// The checkpoints of output that begins at `offset`. They cover the last `reach` bytes.
    pub(super) fn starting_at(offset: u64, reach: u64) -> Self {
        let before = [(offset, TerminalModes::default())].into();
        Self { now: TerminalModes::default(), has_missed_output: offset > 0, before, reach }
    }

    /// Reads output that begins at `offset`.
    pub(super) fn scan(&mut self, offset: u64, bytes: &[u8]) {
        self.now.scan(bytes);
        let end = offset + bytes.len() as u64;
        // A checkpoint stands where a frame ends, not at multiples of the step: the scan then stays one call for each frame.
        if self.before.back().is_none_or(|(last, _)| end >= last + STEP) {
            self.before.push_back((end, self.now.clone()));
        }
        // The first checkpoint goes only when the second is out of reach too: a lookup needs one at or before its offset.
        while self.before.get(1).is_some_and(|(next, _)| next + self.reach <= end) {
            self.before.pop_front();
        }
    }

    /// Continues at `offset`. The output in between is lost.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.has_missed_output = true;
        // The modes before the gap are the best guess. A redraw of the program corrects them.
        self.before = [(offset, self.now.clone())].into();
    }

    /// Whether the program is to redraw its screen for a late viewer: it shows the alternate screen, or missed output may have
    /// switched to it.
    pub(super) fn wants_redraw(&self) -> bool {
        self.has_missed_output || self.now.is_alternate_screen()
    }

    /// Returns the last checkpoint at or before `offset`. The caller scans the output from there to `offset`.
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
