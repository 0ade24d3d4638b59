//! What one viewer has and what it still has to say, over as many attachments as it takes.
//!
//! Plain structs without I/O, called by [`Terminal`](super::Terminal): [`Reading`] drops output that came before and
//! finds what is missing, [`Typing`] keeps what was typed until the satellite has it.

use bytes::{Buf, Bytes, BytesMut};
use hive_wire::frame::MAX_PAYLOAD;
use hive_wire::session::{Attached, Control, INPUT_WINDOW};

/// How far a viewer has read.
#[derive(Debug)]
pub(super) struct Reading {
    /// The offset of the next byte.
    position: u64,
}

/// What to do about output that does not go on where the viewer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Jump {
    /// Bytes are missing.
    Gap { from: u64, to: u64 },
    /// The screen begins anew.
    Reset { modes: String },
}

impl Reading {
    /// A viewer who has seen nothing yet.
    pub(super) fn starting_with(attached: &Attached) -> Self {
        Self { position: attached.output }
    }

    /// The offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Takes in where a new attachment begins.
    pub(super) fn on_attached(&mut self, attached: &Attached) -> Option<Jump> {
        match &attached.modes {
            Some(modes) => Some(self.reset_to(attached.output, modes.clone())),
            None => self.skip_to(attached.output),
        }
    }

    /// Goes on at `output`, wherever that is, on a screen without anything.
    pub(super) fn reset_to(&mut self, output: u64, modes: String) -> Jump {
        self.position = output;
        Jump::Reset { modes }
    }

    /// Goes on at `to` or behind it; says so where bytes are left out.
    pub(super) fn skip_to(&mut self, to: u64) -> Option<Jump> {
        let from = self.position;
        self.position = from.max(to);
        (to > from).then_some(Jump::Gap { from, to })
    }

    /// Takes output; gives what of it is new. What is missing in front of it was asked about with
    /// [`skip_to`](Self::skip_to).
    pub(super) fn take(&mut self, offset: u64, mut data: Bytes) -> Bytes {
        let known = self.position.saturating_sub(offset).min(data.len() as u64);
        data.advance(known as usize);
        self.position += data.len() as u64;
        data
    }
}

/// As whom a viewer comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Return {
    /// As who had the keyboard all the time.
    Typist,
    /// As one the hive remembers. Where the keyboard is not its own, the hive says where its own input ended.
    Known,
    /// As one the hive does not remember.
    Stranger,
}

/// What a viewer types: kept until the satellite has it, said once on each attachment, and never said again to a keyboard
/// that was another's in between.
#[derive(Debug)]
pub(super) struct Typing {
    control: Control,
    /// What was typed and is not known to be with the satellite.
    kept: BytesMut,
    /// The offset of its first byte.
    start: u64,
    /// The offset of the next byte to say.
    said: u64,
    /// Whether the hive refused what was said last: it is said again when something has changed.
    is_held_back: bool,
}

/// The keyboard is not this viewer's, or as much is under way as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NotMine,
    NoRoom,
}

impl Typing {
    /// A viewer who has typed nothing yet.
    pub(super) fn starting_with(control: Control) -> Self {
        let input = control.input;
        Self { control, kept: BytesMut::new(), start: input, said: input, is_held_back: false }
    }

    /// Who has the keyboard.
    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// How many bytes the satellite is not known to have.
    pub(super) fn unapplied(&self) -> usize {
        self.kept.len()
    }

    /// How many bytes may be typed now.
    pub(super) fn room(&self) -> usize {
        if self.control.is_mine { (INPUT_WINDOW as usize).saturating_sub(self.kept.len()) } else { 0 }
    }

    /// Types: all of the bytes or none.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), Refused> {
        if !self.control.is_mine {
            return Err(Refused::NotMine);
        }
        if data.len() > self.room() {
            return Err(Refused::NoRoom);
        }
        self.kept.extend_from_slice(data);
        Ok(())
    }

    /// What to say next, and its offset.
    pub(super) fn next(&self) -> Option<(u64, Bytes)> {
        let unsaid = &self.kept[(self.said - self.start) as usize..];
        let is_to_be_said = self.control.is_mine && !self.is_held_back && !unsaid.is_empty();
        is_to_be_said.then(|| (self.said, Bytes::copy_from_slice(&unsaid[..unsaid.len().min(MAX_PAYLOAD)])))
    }

    /// Takes in that everything before `end` was said on this attachment.
    pub(super) fn on_said(&mut self, end: u64) {
        self.said = self.said.max(end.min(self.end()));
    }

    /// Takes in that the hive did not want what was said last: the keyboard is another's, or the hive has no room.
    pub(super) fn on_refused(&mut self) {
        self.is_held_back = true;
    }

    /// Takes in that the satellite has everything before `offset`.
    pub(super) fn on_applied(&mut self, offset: u64) {
        let applied = offset.clamp(self.start, self.end());
        self.kept.advance((applied - self.start) as usize);
        self.start = applied;
        self.said = self.said.max(applied);
        self.is_held_back = false;
    }

    /// Takes in who has the keyboard now. Gives how many typed bytes come too late for it.
    pub(super) fn on_control(&mut self, control: Control) -> u64 {
        let lost = match (self.control.is_mine, control.is_mine) {
            // What was said and lies before is the hive's to pass on.
            (true, false) => self.cut_to(control.input),
            (false, true) => {
                self.restart_at(control.input);
                0
            }
            _ => 0,
        };
        self.control = control;
        self.is_held_back = false;
        lost
    }

    /// Takes in who has the keyboard on a new attachment, and what of that which was typed is to be said there again.
    /// Gives how many typed bytes are not known to have reached the satellite and never will.
    pub(super) fn on_attached(&mut self, control: Control, who: Return) -> u64 {
        let goes_on = self.control.is_mine && control.is_mine && who == Return::Typist;
        let lost = if goes_on {
            self.say_again_from(control.input);
            0
        } else {
            let is_end_told = !self.control.is_mine || (who == Return::Known && !control.is_mine);
            let lost = if is_end_told { self.cut_to(control.input) } else { self.unapplied() as u64 };
            self.restart_at(control.input);
            lost
        };
        self.control = control;
        self.is_held_back = false;
        lost
    }

    fn end(&self) -> u64 {
        self.start + self.kept.len() as u64
    }

    fn cut_to(&mut self, offset: u64) -> u64 {
        let kept = offset.clamp(self.start, self.end());
        let lost = self.end() - kept;
        self.kept.truncate((kept - self.start) as usize);
        self.said = self.said.min(kept);
        lost
    }

    fn restart_at(&mut self, offset: u64) {
        self.kept.clear();
        self.start = offset;
        self.said = offset;
    }

    /// What the hive has stays kept: it may be killed before the satellite has it.
    fn say_again_from(&mut self, offset: u64) {
        if offset > self.end() {
            return self.restart_at(offset);
        }
        // Where the satellite is before the first of our bytes, what another typed was lost with a hive: ours move up.
        self.start = self.start.min(offset);
        self.said = offset;
    }
}

#[cfg(test)]
mod tests;
