//! What a satellite is told of one terminal: input, how far the output may go, size and writer.

use std::time::Duration;

use hive_wire::SessionId;
use hive_wire::agent::ToAgent;
use hive_wire::frame::Frame;

use super::{Linked, LiveState, Phase, Redraw};
use crate::link::Outgoing;
use crate::sessions::flow::Credit;

/// Messages about a terminal's size and writer that its satellite may owe an answer to; what comes then waits, and only the
/// latest of it is sent. A link whose satellite does not read must not be filled by somebody who drags a window.
const MAX_UNANSWERED: u32 = 16;
/// The shortest time between two requests to a program to draw its screen anew.
const REDRAW_INTERVAL: Duration = Duration::from_secs(1);

impl LiveState {
    pub(super) fn linked(&mut self) -> Option<&mut Linked> {
        match &mut self.phase {
            Phase::Linked(linked) if self.end.is_none() => Some(linked),
            _ => None,
        }
    }

    /// Passes typed input on, behind what the satellite is to know before.
    pub(super) fn send_input(&mut self, now: Duration) {
        if self.linked().is_none() {
            return;
        }
        while let Some((offset, bytes)) = self.input.next_frame() {
            self.settle(now, true);
            if let Some(linked) = self.linked() {
                linked.link.send_best_effort(Frame::data(linked.stream, offset, bytes, false));
            }
        }
    }

    /// Tells the satellite how far the output may go now.
    pub(super) fn tell_flow(&mut self) {
        let id = self.id;
        match &mut self.phase {
            Phase::Linked(linked) if self.end.is_none() => {
                if let Some(credit) = self.flow.tell() {
                    linked.receiver.grant(credit.limit);
                    linked.link.send_best_effort(flow_message(id, credit));
                }
            }
            // Where the offsets are known, output may come right behind the satellite's answer.
            Phase::Asked(link) if self.is_known => {
                if let Some(credit) = self.flow.tell() {
                    link.send_best_effort(flow_message(id, credit));
                }
            }
            _ => {}
        }
    }

    /// Tells the satellite about size and writer what it does not know, unless it owes too many answers. What is typed goes
    /// behind it: then it is told in any case, and the window for input bounds how often.
    pub(super) fn settle(&mut self, now: Duration, is_urgent: bool) {
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

    /// Asks the program to draw its screen anew, where it can: on the alternate screen, or where nobody knows.
    pub(super) fn want_redraw(&mut self, now: Duration) {
        if self.checkpoints.wants_redraw() {
            self.redraw.is_wanted = true;
            self.settle(now, false);
        }
    }
}

fn flow_message(session_id: SessionId, credit: Credit) -> Outgoing {
    Outgoing::Control(ToAgent::PtyFlow { session_id, limit: credit.limit, keep: credit.keep })
}
