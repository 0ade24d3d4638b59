//! The messages to a satellite about one session: input, credit for output, size and writer.

use std::time::Duration;

use hive_wire::SessionId;
use hive_wire::agent::ToAgent;
use hive_wire::frame::Frame;

use super::{Linked, LiveState, Phase, Redraw};
use crate::link::Outgoing;
use crate::sessions::flow::Credit;

/// Messages about size and writer that are sent without any message from the satellite in between. Further changes wait, and
/// only the last is sent. A viewer that drags its window must not fill the link of a satellite that does not read.
const MAX_UNANSWERED: u32 = 16;
/// The shortest time between two requests to redraw the screen.
const REDRAW_INTERVAL: Duration = Duration::from_secs(1);

impl LiveState {
    pub(super) fn linked(&mut self) -> Option<&mut Linked> {
        match &mut self.phase {
            // An ended session sends nothing, although its link may still carry it until the satellite has ended it.
            Phase::Linked(linked) if self.end.is_none() => Some(linked),
            _ => None,
        }
    }

    /// Sends pending input, after the size and the writer that apply to it.
    pub(super) fn send_input(&mut self, now: Duration) {
        // `next_frame` counts a frame as sent, so it must not be taken without a link.
        if self.linked().is_none() {
            return;
        }
        while let Some((offset, bytes)) = self.input.next_frame() {
            self.send_pending(now, true);
            if let Some(linked) = self.linked() {
                linked.link.send_best_effort(Frame::data(linked.stream, offset, bytes, false));
            }
        }
    }

    /// Sends credit to the satellite if it is due.
    pub(super) fn tell_flow(&mut self) {
        let id = self.id;
        match &mut self.phase {
            Phase::Linked(linked) if self.end.is_none() => {
                if let Some(credit) = self.flow.next_credit() {
                    // Before the message is sent: output under the new credit must find it granted.
                    linked.receiver.grant(credit.limit);
                    linked.link.send_best_effort(flow_message(id, credit));
                }
            }
            // If the offsets are known, output can follow the satellite's answer without a round trip. After a restart they are
            // not known, and a limit of this side would mean nothing.
            Phase::Asked(link) if self.is_known => {
                if let Some(credit) = self.flow.next_credit() {
                    link.send_best_effort(flow_message(id, credit));
                }
            }
            _ => {}
        }
    }

    /// Sends size and writer to the satellite if they have changed, unless too many messages are unanswered. If input follows
    /// (`is_urgent`), they are sent in any case. The input window then limits how often.
    pub(super) fn send_pending(&mut self, now: Duration, is_urgent: bool) {
        let (session_id, size, writer) = (self.id, self.size, self.keyboard.writer());
        let redraw = self.redraw.is_wanted && now >= self.redraw.not_before;
        let Some(linked) = self.linked() else { return };
        let is_settled = linked.told_size == size && linked.told_writer == writer && !redraw;
        if is_settled || (linked.unanswered >= MAX_UNANSWERED && !is_urgent) {
            return;
        }
        linked.unanswered += 1;
        if linked.told_writer != writer {
            linked.told_writer = writer;
            linked.link.send_best_effort(ToAgent::PtyWriter { session_id, writer });
        }
        if linked.told_size != size || redraw {
            linked.told_size = size;
            linked.link.send_best_effort(ToAgent::PtyResize { session_id, size, redraw });
        }
        if redraw {
            self.redraw = Redraw { is_wanted: false, not_before: now + REDRAW_INTERVAL };
        }
    }

    /// Asks the program to redraw its screen if it can: on the alternate screen, or if the screen is unknown.
    pub(super) fn want_redraw(&mut self, now: Duration) {
        // A shell on the normal screen would only print its prompt again.
        if self.checkpoints.wants_redraw() {
            self.redraw.is_wanted = true;
            self.send_pending(now, false);
        }
    }
}

fn flow_message(session_id: SessionId, credit: Credit) -> Outgoing {
    Outgoing::Control(ToAgent::PtyFlow { session_id, limit: credit.limit, keep: credit.keep })
}
