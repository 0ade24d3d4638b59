//! The heartbeats that wait for the store.

use std::collections::VecDeque;

use hive_wire::SatelliteId;

use crate::store::HeartbeatRow;

/// Heartbeats that may wait: about a minute of 10,000 satellites. When the queue is full, the oldest is dropped and counted.
const MAX_WAITING: usize = 20_000;

/// A queue that drops its oldest heartbeats when it is full.
#[derive(Default)]
pub(super) struct TelemetryQueue {
    waiting: VecDeque<HeartbeatRow>,
    dropped: u64,
}

impl TelemetryQueue {
    pub(super) fn push(&mut self, heartbeat: HeartbeatRow) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(heartbeat);
    }

    /// Takes up to `limit` heartbeats, the oldest first.
    pub(super) fn take(&mut self, limit: usize) -> Vec<HeartbeatRow> {
        let count = self.waiting.len().min(limit);
        self.waiting.drain(..count).collect()
    }

    /// Puts back what was taken and could not be stored. Without room for all of it, its oldest are dropped.
    pub(super) fn put_back(&mut self, taken: Vec<HeartbeatRow>) {
        let room = MAX_WAITING.saturating_sub(self.waiting.len());
        let excess = taken.len().saturating_sub(room);
        self.dropped += excess as u64;
        taken.into_iter().skip(excess).rev().for_each(|heartbeat| self.waiting.push_front(heartbeat));
    }

    /// Removes the heartbeats of a satellite.
    pub(super) fn remove(&mut self, satellite: SatelliteId) {
        self.waiting.retain(|heartbeat| heartbeat.satellite_id != satellite);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns how many were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::Timestamp;
    use hive_wire::id::Seed;

    fn heartbeat(second: i64) -> HeartbeatRow {
        let satellite_id = SatelliteId::new(Seed { unix_millis: 1, random: [(second % 2) as u8; 10] });
        HeartbeatRow { satellite_id, team_id: None, at: Timestamp::from_micros(second), metrics: None }
    }

    fn heartbeats(range: std::ops::Range<i64>) -> Vec<HeartbeatRow> {
        range.map(heartbeat).collect()
    }

    const MAX: i64 = MAX_WAITING as i64;

    #[test]
    fn a_full_queue_drops_its_oldest_and_counts_them() {
        let mut queue = TelemetryQueue::default();
        for heartbeat in heartbeats(0..MAX + 3) {
            queue.push(heartbeat);
        }
        assert_eq!((queue.len(), queue.dropped()), (MAX_WAITING, 3));
        assert_eq!(queue.take(2), heartbeats(3..5));
    }

    #[test]
    fn what_could_not_be_stored_comes_first_again() {
        let mut queue = TelemetryQueue::default();
        for heartbeat in heartbeats(0..10) {
            queue.push(heartbeat);
        }
        let taken = queue.take(4);
        queue.push(heartbeat(10));
        queue.put_back(taken);
        assert_eq!(queue.take(100), heartbeats(0..11));
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn what_is_put_back_into_a_full_queue_is_the_oldest() {
        let mut queue = TelemetryQueue::default();
        for heartbeat in heartbeats(0..MAX) {
            queue.push(heartbeat);
        }
        let taken = queue.take(5);
        for heartbeat in heartbeats(MAX..MAX + 3) {
            queue.push(heartbeat);
        }
        queue.put_back(taken);
        assert_eq!((queue.len(), queue.dropped()), (MAX_WAITING, 3));
        assert_eq!(queue.take(3), heartbeats(3..6));
    }

    #[test]
    fn a_removed_satellite_waits_no_longer() {
        let mut queue = TelemetryQueue::default();
        for heartbeat in heartbeats(0..4) {
            queue.push(heartbeat);
        }
        queue.remove(heartbeat(1).satellite_id);
        assert_eq!(queue.take(100), [heartbeat(0), heartbeat(2)]);
    }
}
