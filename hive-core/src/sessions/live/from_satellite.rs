//! What a satellite says of one terminal.
//!
//! Everything is for one link, told by its epoch: what an older one still brings does not count.

use std::time::Duration;

use hive_wire::agent::{PtySpec, PtyStarted, ToAgent};
use hive_wire::frame::Frame;
use hive_wire::session::SCROLLBACK;
use hive_wire::stream::{Receiver, Ring};

use super::{Linked, LiveSession, LiveState, Phase, TAIL, WORTH_TELLING};
use crate::Result;
use crate::links::LinkHandle;
use crate::links::protocol_violation;
use crate::sessions::flow::Flow;
use crate::sessions::input_buffer::InputBuffer;
use crate::sessions::keyboard::Keyboard;
use crate::sessions::modes::ModeCheckpoints;
use crate::sessions::viewers::ViewerEvent;

/// The largest offset that is believed: eight exabytes below the end of what 64 bits count.
const MAX_OFFSET: u64 = 1 << 60;

/// What came of a satellite's word that a terminal is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// It goes on over this link.
    Linked {
        /// Whether the store does not have it as open yet.
        is_new: bool,
    },
    /// It has ended here; the satellite is to end it.
    Ended,
    /// It was not asked for over this link.
    Unasked,
}

impl LiveSession {
    /// Asks the satellite to open it. The flow is told at once, so that its first output need not wait.
    pub(crate) fn begin(&self, link: &LinkHandle, spec: PtySpec) {
        self.read(|state| {
            // It may have ended since it was stored, with its satellite's removal.
            if state.end.is_none() {
                state.ask(link, ToAgent::PtyStart(Box::new(spec)));
            }
        });
    }

    /// Asks the satellite to go on with it over a new link.
    pub(crate) fn resume(&self, link: &LinkHandle) {
        self.read(|state| {
            let is_older = match &state.phase {
                Phase::Asked(known) | Phase::Linked(Linked { link: known, .. }) => known.epoch >= link.epoch,
                Phase::New | Phase::Away(_) => false,
            };
            if state.end.is_none() && !is_older {
                let received = state.is_known.then(|| state.ring.end());
                state.ask(link, ToAgent::PtyAttach { session_id: state.id, received });
            }
        });
    }

    /// Whether its satellite may open it still, though it did not name it at the beginning of the link of this epoch: it is
    /// about to be asked, or was asked over this very link.
    pub(crate) fn may_begin_on(&self, epoch: u64) -> bool {
        self.read(|state| match &state.phase {
            Phase::New => true,
            Phase::Asked(link) => link.epoch >= epoch,
            Phase::Linked(linked) => linked.link.epoch >= epoch,
            Phase::Away(_) => false,
        })
    }

    /// Takes the satellite's word that it is there.
    ///
    /// # Errors
    /// `InvalidInput` where the offsets contradict what was agreed.
    pub(crate) fn on_started(&self, now: Duration, link: &LinkHandle, started: &PtyStarted) -> Result<Started> {
        self.change(|state| {
            if state.end.is_some() {
                return Ok(Started::Ended);
            }
            if !state.is_asked_on(link.epoch) {
                return Ok(Started::Unasked);
            }
            state.link(now, link, started)?;
            Ok(Started::Linked { is_new: !state.is_open })
        })
    }

    /// Notes that the store has it as open.
    pub(crate) fn set_open(&self) {
        self.change(|state| state.is_open = true);
    }

    /// Takes output.
    ///
    /// # Errors
    /// `InvalidInput` where the satellite breaks the protocol.
    pub(crate) fn on_frame(&self, now: Duration, epoch: u64, frame: &Frame) -> Result<()> {
        self.change(|state| state.on_frame(now, epoch, frame))
    }

    /// Takes the satellite's word that output is lost.
    ///
    /// # Errors
    /// As [`on_frame`](Self::on_frame).
    pub(crate) fn on_gap(&self, now: Duration, epoch: u64, from: u64, to: u64) -> Result<()> {
        self.change(|state| state.on_gap(now, epoch, from, to))
    }

    /// Takes the satellite's word that input is typed.
    ///
    /// # Errors
    /// As [`on_frame`](Self::on_frame).
    pub(crate) fn on_applied(&self, now: Duration, epoch: u64, offset: u64) -> Result<()> {
        let is_worth_telling = self.read(|state| {
            let Some(linked) = state.linked().filter(|linked| linked.link.epoch == epoch) else {
                return Ok(false);
            };
            linked.unanswered = 0;
            state.input.on_applied(offset).map_err(protocol_violation)?;
            state.send_input(now);
            state.settle(now, false);
            self.applied.send_replace(state.input.applied());
            Ok::<_, crate::Error>(state.note_applied(WORTH_TELLING))
        })?;
        if is_worth_telling {
            self.changes.send_replace(());
        }
        Ok(())
    }

    /// Notes that the link of this epoch is gone.
    pub(crate) fn on_link_lost(&self, now: Duration, epoch: u64) {
        self.change(|state| {
            let is_this = match &state.phase {
                Phase::Asked(link) => link.epoch == epoch,
                Phase::Linked(linked) => linked.link.epoch == epoch,
                Phase::New | Phase::Away(_) => false,
            };
            if is_this {
                state.phase = Phase::Away(now);
                state.tell_all(ViewerEvent::Link);
            }
        });
    }
}

impl LiveState {
    fn ask(&mut self, link: &LinkHandle, message: ToAgent) {
        self.phase = Phase::Asked(link.clone());
        link.send_best_effort(message);
        self.flow.on_link();
        self.tell_flow();
    }

    fn is_asked_on(&self, epoch: u64) -> bool {
        match &self.phase {
            Phase::Asked(link) => link.epoch == epoch,
            // The answer to a question that came twice.
            Phase::Linked(linked) => linked.link.epoch == epoch,
            Phase::New | Phase::Away(_) => false,
        }
    }

    fn link(&mut self, now: Duration, link: &LinkHandle, started: &PtyStarted) -> Result<()> {
        if started.output.max(started.input) > MAX_OFFSET {
            return Err(protocol_violation("offset out of reach"));
        }
        if self.is_known {
            self.input.on_link(started.input).map_err(protocol_violation)?;
            if started.output > self.ring.end() {
                self.skip_to(now, started.output);
            }
        } else {
            self.rebuild(now, started);
        }
        self.phase = Phase::Linked(Linked {
            link: link.clone(),
            stream: started.stream,
            receiver: Receiver::granting(self.ring.end(), self.flow.limit()),
            told_size: started.size,
            told_writer: started.writer,
            unanswered: 0,
        });
        self.tell_all(ViewerEvent::Link);
        self.tell_flow();
        self.settle(now, false);
        self.send_input(now);
        Ok(())
    }

    /// Takes over a terminal that was opened before this process began. Whoever typed last has a while to come back, and
    /// finds what they have not read.
    fn rebuild(&mut self, now: Duration, started: &PtyStarted) {
        let PtyStarted { output, input, keep, writer, size, .. } = *started;
        self.is_known = true;
        self.ring = Ring::starting_at(output, SCROLLBACK);
        self.checkpoints = ModeCheckpoints::starting_at(output, 2 * TAIL);
        self.flow = Flow::new(output, self.timeouts);
        self.input = InputBuffer::resuming_at(input);
        self.size = size;
        if let Some(writer) = writer {
            self.keyboard = Keyboard::kept_for(writer, now + self.timeouts.linger, input);
            if keep.is_some() {
                self.flow.claim(now, writer, output);
                self.flow.cut_off(now, writer);
            }
        }
    }

    fn on_frame(&mut self, now: Duration, epoch: u64, frame: &Frame) -> Result<()> {
        let Some(linked) = self.linked().filter(|linked| linked.link.epoch == epoch) else {
            return Ok(());
        };
        let new = linked.receiver.accept(frame).map_err(protocol_violation)?;
        linked.unanswered = 0;
        self.checkpoints.scan(self.ring.end(), &new);
        self.ring.append(&new);
        self.flow.on_output(now, self.ring.end());
        self.tell_flow();
        self.settle(now, false);
        Ok(())
    }

    fn on_gap(&mut self, now: Duration, epoch: u64, from: u64, to: u64) -> Result<()> {
        let received = self.ring.end();
        if self.linked().is_none_or(|linked| linked.link.epoch != epoch) || to <= received {
            return Ok(());
        }
        if from > received || to > MAX_OFFSET {
            return Err(protocol_violation("gap that does not begin where the output ends"));
        }
        self.skip_to(now, to);
        let limit = self.flow.limit();
        if let Some(linked) = self.linked() {
            linked.receiver = Receiver::granting(to, limit);
        }
        self.tell_flow();
        Ok(())
    }

    /// Goes on at an offset behind what is here: what lies between is lost.
    fn skip_to(&mut self, now: Duration, offset: u64) {
        self.ring.skip_to(offset);
        self.checkpoints.skip_to(offset);
        self.flow.skip_to(now, offset);
        self.want_redraw(now);
    }
}
