//! The position of a viewer in output and input, over any number of attachments.
//!
//! Plain structs without I/O, used by [`Terminal`](super::Terminal): [`OutputCursor`] skips output that was received
//! before and detects gaps, [`PendingInput`] keeps input until the satellite has confirmed it.

use bytes::{Buf, Bytes, BytesMut};
use hive_wire::frame::MAX_PAYLOAD;
use hive_wire::session::{Attached, Control, INPUT_WINDOW};

/// The position in the output.
#[derive(Debug)]
pub(super) struct OutputCursor {
    /// The offset of the next byte.
    position: u64,
}

/// Output that does not continue at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Discontinuity {
    /// Bytes are missing.
    Gap { from: u64, to: u64 },
    /// The screen starts again.
    Reset { modes: String },
}

impl OutputCursor {
    /// A viewer that has received nothing yet.
    pub(super) fn starting_with(attached: &Attached) -> Self {
        Self { position: attached.output }
    }

    /// The offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Moves to the start of a new attachment.
    pub(super) fn on_attached(&mut self, attached: &Attached) -> Option<Discontinuity> {
        match &attached.modes {
            // A fresh screen may begin before the cursor: its tail repeats output that was shown.
            Some(modes) => Some(self.reset_to(attached.output, modes.clone())),
            None => self.skip_to(attached.output),
        }
    }

    /// Moves to `output`, on an empty screen.
    pub(super) fn reset_to(&mut self, output: u64, modes: String) -> Discontinuity {
        self.position = output;
        Discontinuity::Reset { modes }
    }

    /// Moves to `to` unless it is already behind it. Returns the gap if bytes are skipped.
    pub(super) fn skip_to(&mut self, to: u64) -> Option<Discontinuity> {
        let from = self.position;
        self.position = from.max(to);
        (to > from).then_some(Discontinuity::Gap { from, to })
    }

    /// Accepts output and returns the part that is new. Missing bytes before it were handled with
    /// [`skip_to`](Self::skip_to).
    pub(super) fn take(&mut self, offset: u64, mut data: Bytes) -> Bytes {
        // After a reconnect the hive may begin before the cursor. All of the bytes may be known.
        let known = self.position.saturating_sub(offset).min(data.len() as u64);
        data.advance(known as usize);
        self.position += data.len() as u64;
        data
    }
}

/// How the hive knows a viewer that reattaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reattach {
    /// It held the keyboard all the time.
    Writer,
    /// The hive remembers it. If it does not hold the keyboard, the hive states where its input ended.
    Viewer,
    /// The hive does not remember it.
    New,
}

/// Input that the satellite has not confirmed. It is sent once on each attachment, and never again after another viewer
/// held the keyboard in between.
#[derive(Debug)]
pub(super) struct PendingInput {
    control: Control,
    /// Bytes that were not confirmed.
    kept: BytesMut,
    /// The offset of its first byte.
    start: u64,
    /// The offset of the next byte to send.
    sent: u64,
    /// The hive refused the last input. It is sent again when something has changed.
    is_refused: bool,
}

/// The viewer does not hold the keyboard, or the input window is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputRefusal {
    NotWriter,
    NoRoom,
}

impl PendingInput {
    /// A viewer without input.
    pub(super) fn starting_with(control: Control) -> Self {
        let input = control.input;
        Self { control, kept: BytesMut::new(), start: input, sent: input, is_refused: false }
    }

    /// The holder of the keyboard.
    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// The number of bytes that were not confirmed.
    pub(super) fn unapplied(&self) -> usize {
        self.kept.len()
    }

    /// How many bytes may be queued now.
    pub(super) fn room(&self) -> usize {
        if self.control.is_mine { (INPUT_WINDOW as usize).saturating_sub(self.kept.len()) } else { 0 }
    }

    /// Queues all of the bytes or none.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), InputRefusal> {
        // Input without the keyboard is not kept for later: it would surprise whoever watches when the keyboard comes.
        if !self.control.is_mine {
            return Err(InputRefusal::NotWriter);
        }
        if data.len() > self.room() {
            return Err(InputRefusal::NoRoom);
        }
        self.kept.extend_from_slice(data);
        Ok(())
    }

    /// The next bytes to send, and their offset.
    pub(super) fn next(&self) -> Option<(u64, Bytes)> {
        let unsent = &self.kept[(self.sent - self.start) as usize..];
        let is_to_be_said = self.control.is_mine && !self.is_refused && !unsent.is_empty();
        is_to_be_said.then(|| (self.sent, Bytes::copy_from_slice(&unsent[..unsent.len().min(MAX_PAYLOAD)])))
    }

    /// Notes that everything before `end` was sent on this attachment.
    pub(super) fn on_sent(&mut self, end: u64) {
        self.sent = self.sent.max(end.min(self.end()));
    }

    /// Notes that the hive refused the last input: another viewer holds the keyboard, or the window is full.
    pub(super) fn on_refused(&mut self) {
        self.is_refused = true;
    }

    /// Notes that the satellite has written everything before `offset`.
    pub(super) fn on_applied(&mut self, offset: u64) {
        // The offset may be outside: input of other writers is confirmed with the same offsets.
        let applied = offset.clamp(self.start, self.end());
        self.kept.advance((applied - self.start) as usize);
        self.start = applied;
        self.sent = self.sent.max(applied);
        // The confirmation makes room in the window, so refused input may fit now.
        self.is_refused = false;
    }

    /// Notes the holder of the keyboard. Returns the number of bytes that are too late for it.
    pub(super) fn on_control(&mut self, control: Control) -> u64 {
        let lost = match (self.control.is_mine, control.is_mine) {
            // The hive passes on what was sent before this offset.
            (true, false) => self.cut_to(control.input),
            // The kept bytes are of an earlier lease, and the hive has all of them.
            (false, true) => {
                self.restart_at(control.input);
                0
            }
            // Another holder, or the same lease: nothing of this viewer is affected.
            _ => 0,
        };
        self.control = control;
        self.is_refused = false;
        lost
    }

    /// Notes the holder of the keyboard on a new attachment, and what is to be sent there again. Returns the number of
    /// bytes that will not reach the satellite.
    pub(super) fn on_attached(&mut self, control: Control, who: Reattach) -> u64 {
        // All three: the viewer held the keyboard before, holds it now, and nobody else had it in between.
        let goes_on = self.control.is_mine && control.is_mine && who == Reattach::Writer;
        let lost = if goes_on {
            self.resend_from(control.input);
            0
        } else {
            // How much of the kept input has arrived is known in two cases: the viewer had lost the keyboard before, or the
            // hive remembers it and states where its input ended. Otherwise all of it counts as lost: reporting too much is
            // safer than too little.
            let is_end_told = !self.control.is_mine || (who == Reattach::Viewer && !control.is_mine);
            let lost = if is_end_told { self.cut_to(control.input) } else { self.unapplied() as u64 };
            self.restart_at(control.input);
            lost
        };
        self.control = control;
        self.is_refused = false;
        lost
    }

    fn end(&self) -> u64 {
        self.start + self.kept.len() as u64
    }

    fn cut_to(&mut self, offset: u64) -> u64 {
        let kept = offset.clamp(self.start, self.end());
        let lost = self.end() - kept;
        self.kept.truncate((kept - self.start) as usize);
        self.sent = self.sent.min(kept);
        lost
    }

    fn restart_at(&mut self, offset: u64) {
        self.kept.clear();
        self.start = offset;
        self.sent = offset;
    }

    /// Bytes that the hive has are kept as well: it may be killed before the satellite has them.
    fn resend_from(&mut self, offset: u64) {
        // The hive has more input than this viewer ever sent. No kept byte has to be sent again.
        if offset > self.end() {
            return self.restart_at(offset);
        }
        // If the satellite is before our first byte, input of another viewer was lost with a hive, and ours moves up.
        self.start = self.start.min(offset);
        self.sent = offset;
    }
}

#[cfg(test)]
mod tests;
