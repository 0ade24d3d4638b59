//! The messages of a satellite about one session.
//!
//! Each message belongs to one link, which is identified by its epoch. Late messages of an older link are ignored.

use std::time::Duration;

use hive_wire::agent::{PtySpec, PtyStarted, ToAgent};
use hive_wire::frame::Frame;
use hive_wire::session::SCROLLBACK;
use hive_wire::stream::{Receiver, Ring};

use super::{Linked, LiveSession, LiveState, Phase, REPORT_STEP, TAIL};
use crate::Result;
use crate::links::LinkHandle;
use crate::links::protocol_violation;
use crate::sessions::flow::Flow;
use crate::sessions::input_buffer::InputBuffer;
use crate::sessions::keyboard::Keyboard;
use crate::sessions::modes::ModeCheckpoints;
use crate::sessions::viewers::ViewerEvent;

/// The largest offset that is accepted: one exabyte. Sums of offsets and windows below it cannot overflow.
const MAX_OFFSET: u64 = 1 << 60;

/// The result of a satellite's report that a session has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// It continues over this link.
    Linked {
        /// Whether it is not open in the store yet.
        is_new: bool,
    },
    /// It has ended here. The satellite is to end it.
    Ended,
    /// It was not requested over this link.
    Unasked,
}

impl LiveSession {
    /// Asks the satellite to open it. The first credit follows at once, so that the first output does not wait for it.
    pub(crate) fn begin(&self, link: &LinkHandle, spec: PtySpec) {
        self.read(|state| {
            // It may have ended since it was stored, with its satellite's removal.
            if state.end.is_none() {
                state.ask(link, ToAgent::PtyStart(Box::new(spec)));
            }
        });
    }

    /// Asks the satellite to resume it over a new link.
    pub(crate) fn resume(&self, link: &LinkHandle) {
        self.read(|state| {
            // The tasks that resume sessions over two links of one satellite are not ordered. The newer link wins.
            let is_older = match &state.phase {
                Phase::Asked(known) | Phase::Linked(Linked { link: known, .. }) => known.epoch >= link.epoch,
                Phase::New | Phase::Away(_) => false,
            };
            if state.end.is_none() && !is_older {
                // Without an offset, the satellite begins at what it keeps for the writer, or at its last screen.
                let received = state.is_known.then(|| state.ring.end());
                state.ask(link, ToAgent::PtyAttach { session_id: state.id, received });
            }
        });
    }

    /// Whether the satellite may still open it, although the handshake of the link of this epoch did not list it: the request
    /// is about to be sent, or was sent over this link or a later one.
    pub(crate) fn may_begin_on(&self, epoch: u64) -> bool {
        self.read(|state| match &state.phase {
            Phase::New => true,
            Phase::Asked(link) => link.epoch >= epoch,
            Phase::Linked(linked) => linked.link.epoch >= epoch,
            Phase::Away(_) => false,
        })
    }

    /// Handles the report that it has started.
    ///
    /// # Errors
    /// `InvalidInput` if the offsets contradict those of this side.
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

    /// Notes that it is open in the store.
    pub(crate) fn set_open(&self) {
        self.change(|state| state.is_open = true);
    }

    /// Handles output.
    ///
    /// # Errors
    /// `InvalidInput` if the satellite violates the protocol.
    pub(crate) fn on_frame(&self, now: Duration, epoch: u64, frame: &Frame) -> Result<()> {
        self.change(|state| state.on_frame(now, epoch, frame))
    }

    /// Handles the report that output is lost.
    ///
    /// # Errors
    /// As [`on_frame`](Self::on_frame).
    pub(crate) fn on_gap(&self, now: Duration, epoch: u64, from: u64, to: u64) -> Result<()> {
        self.change(|state| state.on_gap(now, epoch, from, to))
    }

    /// Handles the confirmation that input was written to the PTY.
    ///
    /// # Errors
    /// As [`on_frame`](Self::on_frame).
    pub(crate) fn on_applied(&self, now: Duration, epoch: u64, offset: u64) -> Result<()> {
        // `read`, not `change`: almost every keystroke is confirmed, and its echo wakes the viewers anyway.
        let is_worth_reporting = self.read(|state| {
            let Some(linked) = state.linked().filter(|linked| linked.link.epoch == epoch) else {
                return Ok(false);
            };
            linked.unanswered = 0;
            state.input.on_applied(offset).map_err(protocol_violation)?;
            // The confirmation may have made room in the window for input that waits here.
            state.send_input(now);
            state.send_pending(now, false);
            self.applied.send_replace(state.input.applied());
            Ok::<_, crate::Error>(state.note_applied(REPORT_STEP))
        })?;
        if is_worth_reporting {
            self.changes.send_replace(());
        }
        Ok(())
    }

    /// Handles the loss of the link of this epoch.
    pub(crate) fn on_link_lost(&self, now: Duration, epoch: u64) {
        self.change(|state| {
            // A newer link may have taken the session over before the older one is noticed as lost.
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
        // Credit of the old link is void. The new credit goes behind the request (wire-protocol.md, "A session").
        self.flow.on_link();
        self.tell_flow();
    }

    fn is_asked_on(&self, epoch: u64) -> bool {
        match &self.phase {
            Phase::Asked(link) => link.epoch == epoch,
            // The report is handled again if the store was not reachable the first time.
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
            // A satellite may skip dropped output here instead of sending a gap. A smaller offset is harmless: repeated bytes
            // are skipped.
            if started.output > self.ring.end() {
                self.skip_to(now, started.output);
            }
        } else {
            self.rebuild(now, started);
        }
        self.phase = Phase::Linked(Linked {
            link: link.clone(),
            stream: started.stream,
            // The credit that went out with the request counts: output may follow this report at once.
            receiver: Receiver::granting(self.ring.end(), self.flow.limit()),
            told_size: started.size,
            told_writer: started.writer,
            unanswered: 0,
        });
        self.tell_all(ViewerEvent::Link);
        self.tell_flow();
        // Size and writer go before the input: a program that reads the input may ask for the size at once.
        self.send_pending(now, false);
        self.send_input(now);
        Ok(())
    }

    /// Takes over a session that was opened before this process started. The last writer may return within the linger time. It
    /// then gets its keyboard and its unread output.
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
            // Without `keep`, the writer had lost its claim before the restart: the program does not wait for it again.
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
        // Before the bytes are appended: the end of the ring is the offset of the first new byte.
        self.checkpoints.scan(self.ring.end(), &new);
        self.ring.append(&new);
        self.flow.on_output(now, self.ring.end());
        self.tell_flow();
        self.send_pending(now, false);
        Ok(())
    }

    fn on_gap(&mut self, now: Duration, epoch: u64, from: u64, to: u64) -> Result<()> {
        let received = self.ring.end();
        // A gap within the output that has arrived already lost nothing here.
        if self.linked().is_none_or(|linked| linked.link.epoch != epoch) || to <= received {
            return Ok(());
        }
        if from > received || to > MAX_OFFSET {
            return Err(protocol_violation("gap that does not begin where the output ends"));
        }
        self.skip_to(now, to);
        let limit = self.flow.limit();
        // A receiver takes no gaps, so the stream continues with a new one.
        if let Some(linked) = self.linked() {
            linked.receiver = Receiver::granting(to, limit);
        }
        self.tell_flow();
        Ok(())
    }

    /// Continues at an offset beyond the received output. The bytes in between are lost.
    fn skip_to(&mut self, now: Duration, offset: u64) {
        self.ring.skip_to(offset);
        self.checkpoints.skip_to(offset);
        self.flow.skip_to(now, offset);
        // The viewers' screens miss what was lost. Only the program can repair them.
        self.want_redraw(now);
    }
}
