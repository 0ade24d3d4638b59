//! Flow control of a session's output: how much the satellite may send, and which bytes it has to keep.
//!
//! The viewer that holds the keyboard has a *claim* on the output. Output is sent as fast as this viewer acknowledges it, and
//! is kept until then. Other viewers have no claim and do not slow the output down. A plain struct: it reads no clock and
//! sends nothing. Times are durations since a fixed origin.

use std::time::Duration;

use hive_wire::ViewerId;
use hive_wire::stream::{INITIAL_WINDOW, Window};

/// How long claims last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimTimeouts {
    /// How long a viewer may leave output unread before its claim is lost.
    pub(crate) stall: Duration,
    /// How long the claim of a viewer that was cut off lasts.
    pub(crate) linger: Duration,
}

/// The credit of a session's output, as it is sent to the satellite (`pty_flow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credit {
    /// The offset behind the last byte that may be sent.
    pub(super) limit: u64,
    /// The offset of the first byte that the satellite has to keep; `None` without a claim.
    pub(super) keep: Option<u64>,
}

/// The flow control of one session's output.
#[derive(Debug)]
pub(super) struct Flow {
    timeouts: ClaimTimeouts,
    claims: Vec<Claim>,
    received: u64,
    /// The credit that was last sent on this link.
    last_credit: Option<Credit>,
}

/// The claim of one viewer, for which the program waits.
#[derive(Debug)]
struct Claim {
    viewer: ViewerId,
    acked: u64,
    window: Window,
    /// Since when it has unread output and has acknowledged none of it.
    waiting_since: Option<Duration>,
    /// When the claim of a viewer that was cut off ends.
    ends_at: Option<Duration>,
}

impl Claim {
    fn note_unread(&mut self, now: Duration, received: u64) {
        if self.acked >= received {
            self.waiting_since = None;
        } else {
            self.waiting_since.get_or_insert(now);
        }
    }

    fn is_over(&self, now: Duration, stall: Duration) -> bool {
        match self.ends_at {
            // A viewer that is cut off cannot acknowledge anything, so only its own deadline counts.
            Some(end) => now >= end,
            None => self.waiting_since.is_some_and(|since| now >= since + stall),
        }
    }
}

impl Flow {
    /// The flow control of a session of which `received` bytes of output have arrived.
    pub(super) fn new(received: u64, timeouts: ClaimTimeouts) -> Self {
        Self { timeouts, claims: Vec::new(), received, last_credit: None }
    }

    /// Gives a viewer a claim on the output from `acked` on. A viewer that was cut off gets its earlier claim back.
    pub(super) fn claim(&mut self, now: Duration, viewer: ViewerId, acked: u64) {
        // An earlier claim is reused, because its window holds what was measured about the viewer's connection.
        let index = self.claims.iter().position(|claim| claim.viewer == viewer).unwrap_or_else(|| {
            let window = Window::default();
            self.claims.push(Claim { viewer, acked, window, waiting_since: None, ends_at: None });
            self.claims.len() - 1
        });
        let claim = &mut self.claims[index];
        claim.acked = claim.acked.max(acked);
        claim.ends_at = None;
        // The time for which the viewer was disconnected does not count as a stall.
        claim.waiting_since = None;
        claim.note_unread(now, self.received);
    }

    /// Removes a viewer's claim.
    pub(super) fn drop_claim(&mut self, viewer: ViewerId) {
        self.claims.retain(|claim| claim.viewer != viewer);
    }

    /// Handles a viewer that was cut off: its claim ends after a timeout.
    pub(super) fn cut_off(&mut self, now: Duration, viewer: ViewerId) {
        let ends_at = Some(now + self.timeouts.linger);
        self.claims.iter_mut().filter(|claim| claim.viewer == viewer).for_each(|claim| claim.ends_at = ends_at);
    }

    /// Whether a viewer has a claim.
    pub(super) fn has_claim(&self, viewer: ViewerId) -> bool {
        self.claims.iter().any(|claim| claim.viewer == viewer)
    }

    /// Notes that all output before `received` has arrived.
    pub(super) fn on_output(&mut self, now: Duration, received: u64) {
        self.received = received;
        self.claims.iter_mut().for_each(|claim| claim.note_unread(now, received));
    }

    /// Continues at an offset beyond the received output. The bytes in between are lost.
    pub(super) fn skip_to(&mut self, now: Duration, offset: u64) {
        // The lost bytes count as read. Otherwise the claim would wait for an acknowledgement that nobody can send.
        self.claims.iter_mut().for_each(|claim| claim.acked = claim.acked.max(offset));
        self.on_output(now, offset);
    }

    /// Handles an acknowledgement of everything before `offset`. It has no effect without a claim.
    pub(super) fn on_ack(&mut self, now: Duration, viewer: ViewerId, offset: u64) {
        let (received, acked) = (self.received, offset.min(self.received));
        // A repeated acknowledgement is no progress: it must not extend the claim of a viewer that does not read.
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.viewer == viewer && claim.acked < acked) else {
            return;
        };
        claim.acked = acked;
        claim.window.on_read(now, acked, received);
        claim.waiting_since = None;
        claim.note_unread(now, received);
    }

    /// Starts again on another link: credit that was sent on the old one may not have arrived.
    pub(super) fn on_link(&mut self) {
        self.last_credit = None;
    }

    /// Removes the claims that have expired. Returns whether there were any.
    pub(super) fn expire(&mut self, now: Duration) -> bool {
        let (before, stall) = (self.claims.len(), self.timeouts.stall);
        self.claims.retain(|claim| !claim.is_over(now, stall));
        self.claims.len() < before
    }

    /// Returns the credit that is to be sent to the satellite now, and notes it as sent. Returns `None` until half a window
    /// was read, so that credit costs few messages. A claim that needs earlier bytes is reported at once, and so are the
    /// first claim and the end of the last.
    pub(super) fn next_credit(&mut self) -> Option<Credit> {
        let (credit, window) = self.credit();
        let is_worth_sending = self.last_credit.is_none_or(|last_credit| match (credit.keep, last_credit.keep) {
            // A claim needs earlier bytes. The satellite may overwrite them.
            (Some(keep), Some(before)) if keep < before => true,
            // The progress of `keep` counts too. A window that has shrunk raises no limit for a while, but the bytes that
            // the satellite keeps fill its ring, and it stops reading the program until it may drop some of them.
            (Some(keep), Some(before)) => {
                credit.limit.saturating_sub(last_credit.limit).max(keep - before) >= window / 2
            }
            (None, None) => credit.limit >= last_credit.limit + window / 2,
            // The first claim, or the last one ended: the program has to wait from now on, or may run on.
            _ => true,
        });
        if !is_worth_sending {
            return None;
        }
        // Credit is never taken back: the satellite may have used it already.
        let limit = self.last_credit.map_or(0, |last_credit| last_credit.limit).max(credit.limit);
        self.last_credit = Some(Credit { limit, ..credit });
        self.last_credit
    }

    /// Returns the limit of the output by the credit that was sent on this link.
    pub(super) fn limit(&self) -> u64 {
        // Output may have skipped beyond the limit: a gap moves the offset and needs no credit.
        self.last_credit.map_or(self.received, |last_credit| last_credit.limit.max(self.received))
    }

    /// Returns the credit by the slowest claim, and the size of its window.
    fn credit(&self) -> (Credit, u64) {
        // After a restart of the hive, a viewer may have read more than has arrived here again.
        let reaches = self.claims.iter().map(|claim| (claim.acked.min(self.received), claim.window.size()));
        let keep = reaches.clone().map(|(acked, _)| acked).min();
        match reaches.min_by_key(|(acked, window)| acked + window) {
            Some((acked, window)) => (Credit { limit: acked + window, keep }, window),
            // Nobody waits for the output: received bytes count as consumed, and the ring drops the oldest.
            None => (Credit { limit: self.received + INITIAL_WINDOW, keep: None }, INITIAL_WINDOW),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;
    use hive_wire::session::SCROLLBACK;
    use hive_wire::stream::MAX_WINDOW;
    use proptest::prelude::*;

    const PATIENCE: ClaimTimeouts = ClaimTimeouts { stall: Duration::from_secs(10), linger: Duration::from_secs(30) };

    fn viewer(n: u8) -> ViewerId {
        ViewerId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn without_a_claim_the_output_runs_on() {
        let mut flow = Flow::new(1000, PATIENCE);
        assert_eq!(flow.next_credit(), Some(Credit { limit: 1000 + INITIAL_WINDOW, keep: None }));
        flow.on_output(at(1), 2000);
        assert_eq!(flow.next_credit(), None, "a little output is not worth a message");
        flow.on_output(at(2), 1000 + INITIAL_WINDOW);
        assert_eq!(flow.next_credit(), Some(Credit { limit: 1000 + 2 * INITIAL_WINDOW, keep: None }));
    }

    #[test]
    fn a_claim_holds_the_output_until_it_is_read() {
        let mut flow = Flow::new(0, PATIENCE);
        flow.claim(at(0), viewer(1), 0);
        let Some(Credit { limit, keep: Some(0) }) = flow.next_credit() else { panic!() };
        flow.on_output(at(0), limit);
        assert_eq!(flow.next_credit(), None);
        flow.on_ack(at(1), viewer(1), limit);
        let next = flow.next_credit().unwrap();
        assert!(next.limit > limit && next.keep == Some(limit), "{next:?}");
    }

    #[test]
    fn the_slowest_claim_counts() {
        let mut flow = Flow::new(0, PATIENCE);
        flow.claim(at(0), viewer(1), 0);
        flow.claim(at(0), viewer(2), 0);
        let first = flow.next_credit().unwrap();
        flow.on_output(at(0), first.limit);
        flow.on_ack(at(1), viewer(1), first.limit);
        assert_eq!(flow.next_credit(), None);
        flow.drop_claim(viewer(2));
        assert_eq!(flow.next_credit().unwrap().keep, Some(first.limit));
    }

    #[test]
    fn a_viewer_that_leaves_output_unread_loses_its_claim() {
        let mut flow = Flow::new(0, PATIENCE);
        flow.claim(at(0), viewer(1), 0);
        assert!(!flow.expire(at(100)), "there is nothing to read");
        flow.on_output(at(100), 50);
        flow.on_ack(at(109), viewer(1), 20);
        assert!(!flow.expire(at(118)));
        flow.on_ack(at(118), viewer(1), 20);
        assert!(flow.expire(at(119)), "the same acknowledgement again is no progress");
        assert!(!flow.has_claim(viewer(1)));
        assert_eq!(flow.next_credit().unwrap().keep, None);
    }

    #[test]
    fn a_viewer_that_is_back_in_time_has_its_claim_again() {
        let mut flow = Flow::new(0, PATIENCE);
        flow.claim(at(0), viewer(1), 0);
        flow.on_output(at(0), 100);
        flow.cut_off(at(1), viewer(1));
        assert!(!flow.expire(at(30)), "a viewer that is cut off cannot read");
        flow.claim(at(30), viewer(1), 60);
        assert!(!flow.expire(at(35)));
        assert_eq!(flow.next_credit().unwrap().keep, Some(60));
        flow.cut_off(at(36), viewer(1));
        assert!(flow.expire(at(66)));
    }

    #[test]
    fn the_first_claim_and_the_end_of_the_last_are_told_at_once() {
        let mut flow = Flow::new(0, PATIENCE);
        let free = flow.next_credit().unwrap();
        flow.claim(at(0), viewer(1), 0);
        assert_eq!(flow.next_credit(), Some(Credit { limit: free.limit, keep: Some(0) }), "credit is never taken back");
        flow.drop_claim(viewer(1));
        assert_eq!(flow.next_credit().unwrap().keep, None);
    }

    #[test]
    fn nobody_waits_for_what_is_lost() {
        let mut flow = Flow::new(0, PATIENCE);
        flow.claim(at(0), viewer(1), 0);
        let limit = flow.next_credit().unwrap().limit;
        flow.skip_to(at(1), 10 * limit);
        assert_eq!(flow.next_credit().unwrap().keep, Some(10 * limit), "or the satellite would stand still for ever");
        assert!(!flow.expire(at(100)));
    }

    #[test]
    fn another_link_is_told_anew() {
        let mut flow = Flow::new(0, PATIENCE);
        let last_credit = flow.next_credit();
        assert_eq!(flow.next_credit(), None);
        flow.on_link();
        assert_eq!(flow.next_credit(), last_credit);
    }

    /// How far a satellite sends: its ring holds the kept bytes, less a reserve for the last output of the program.
    fn reach(last_credit: Credit) -> u64 {
        last_credit.keep.map_or(u64::MAX, |keep| keep + SCROLLBACK as u64 * 7 / 8).min(last_credit.limit)
    }

    proptest! {
        /// A reader that has read everything leaves the satellite with credit. The credit never exceeds the largest window.
        #[test]
        fn a_reader_is_never_left_stuck(steps in proptest::collection::vec((0u64..400_000, 0u64..400_000, 0u64..800), 1..200)) {
            let mut flow = Flow::new(0, PATIENCE);
            flow.claim(Duration::ZERO, viewer(1), 0);
            let mut last_credit = flow.next_credit().unwrap();
            let (mut now, mut sent, mut read) = (Duration::ZERO, 0u64, 0u64);
            for (wants_to_send, wants_to_read, millis) in steps {
                now += Duration::from_millis(millis);
                sent = (sent + wants_to_send).min(reach(last_credit));
                flow.on_output(now, sent);
                read = (read + wants_to_read).min(sent);
                flow.on_ack(now, viewer(1), read);
                if let Some(next) = flow.next_credit() {
                    prop_assert!(next.limit >= last_credit.limit && next.keep == Some(read));
                    last_credit = next;
                }
                prop_assert!(last_credit.limit <= read + MAX_WINDOW);
            }
            let sent = reach(last_credit);
            flow.on_output(now, sent);
            flow.on_ack(now, viewer(1), sent);
            prop_assert!(flow.next_credit().is_some_and(|next| reach(next) > sent));
        }
    }
}
