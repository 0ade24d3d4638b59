//! The numbered events, of which the last ones are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use hive_wire::api::{EventCursor, SatelliteEvent};

use super::EventSubject;
use super::event::{Event, PublishedEvent};

/// Events that a reader takes at a time.
const BATCH: usize = 64;

/// The events of one epoch.
#[derive(Debug)]
pub(super) struct EventBus {
    epoch: u64,
    last_seq: u64,
    /// The last events, without a gap in their numbers.
    kept: VecDeque<Arc<Event>>,
    max_kept: usize,
    /// Bytes of their JSON.
    kept_bytes: usize,
    max_bytes: usize,
}

/// What a reader gets.
#[derive(Debug)]
pub(crate) enum EventBatch {
    /// The next events; none where there are no more.
    Events(Vec<Arc<Event>>),
    /// Events behind the reader's position are gone, or the position is of another epoch. The reader continues from here.
    Resync(EventCursor),
}

impl EventBus {
    /// A bus that keeps so many events, and so many bytes of them. A reader that is further behind gets a resync instead of those
    /// that are gone.
    pub(super) fn new(epoch: u64, max_kept: usize, max_bytes: usize) -> Self {
        // The epoch 0 is that of `EventCursor::UNKNOWN`.
        Self { epoch: epoch.max(1), last_seq: 0, kept: VecDeque::new(), max_kept, kept_bytes: 0, max_bytes }
    }

    /// Returns the position behind the last event.
    pub(super) fn cursor(&self) -> EventCursor {
        EventCursor { epoch: self.epoch, seq: self.last_seq }
    }

    /// Numbers an event and keeps it. The oldest one goes where there are too many.
    pub(super) fn publish(
        &mut self,
        subject: EventSubject,
        moved_to: Option<EventSubject>,
        event: impl FnOnce(u64) -> SatelliteEvent,
    ) {
        // Under the lock of the hub: the number and the place in the queue are one step.
        self.last_seq += 1;
        let published = Arc::new(PublishedEvent::new(self.cursor(), event(self.last_seq)));
        self.kept_bytes += published.json().len();
        self.kept.push_back(Arc::new(Event { published, subject, moved_to }));
        // The newest one stays however long it is: readers that keep up get every event.
        while self.kept.len() > self.max_kept || (self.kept_bytes > self.max_bytes && self.kept.len() > 1) {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.published.json().len();
        }
    }

    /// Returns what comes behind a position, and moves the position behind it.
    pub(super) fn read(&self, position: &mut EventCursor) -> EventBatch {
        // The reader is put at the end: what it missed it must read from the store anyway.
        let Some(behind) = self.count_behind(*position) else {
            *position = self.cursor();
            return EventBatch::Resync(*position);
        };
        let first = self.kept.len() - behind;
        let events: Vec<_> = self.kept.range(first..).take(BATCH).cloned().collect();
        position.seq += events.len() as u64;
        EventBatch::Events(events)
    }

    /// Returns how many events are behind a position; none where they are not all kept.
    fn count_behind(&self, position: EventCursor) -> Option<usize> {
        if position.epoch != self.epoch {
            return None;
        }
        // A position after the last event is one of an earlier life of the hive, or made up.
        let behind = usize::try_from(self.last_seq.checked_sub(position.seq)?).ok()?;
        (behind <= self.kept.len()).then_some(behind)
    }
}

#[cfg(test)]
mod tests {
    use hive_wire::SatelliteId;
    use hive_wire::id::Seed;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const EPOCH: u64 = 7;
    const KEPT: u64 = 200;

    fn publish(bus: &mut EventBus, count: u64) {
        let id = SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] });
        for _ in 0..count {
            bus.publish(EventSubject::unknown(id), None, |seq| SatelliteEvent::Removed { seq, id });
        }
    }

    fn bus_of(count: u64) -> EventBus {
        let mut bus = EventBus::new(EPOCH, KEPT as usize, usize::MAX);
        publish(&mut bus, count);
        bus
    }

    /// The numbers of the events that a reader gets until there are no more, and how many resyncs.
    fn read_all(bus: &EventBus, position: &mut EventCursor) -> (Vec<u64>, usize) {
        let (mut seqs, mut resyncs) = (Vec::new(), 0);
        loop {
            match bus.read(position) {
                EventBatch::Resync(cursor) => {
                    assert_eq!(cursor, bus.cursor());
                    resyncs += 1;
                }
                EventBatch::Events(events) if events.is_empty() => return (seqs, resyncs),
                EventBatch::Events(events) => seqs.extend(events.iter().map(|event| event.published.cursor().seq)),
            }
        }
    }

    #[test]
    fn a_position_of_another_epoch_or_too_old_gives_a_resync() {
        let bus = bus_of(KEPT + 5);
        let check = |epoch: u64, seq: u64, expected: usize| {
            let mut position = EventCursor { epoch, seq };
            assert_eq!(read_all(&bus, &mut position).1, expected, "{epoch}-{seq}");
            assert_eq!(position, bus.cursor());
        };
        check(EPOCH, 5, 0);
        check(EPOCH, 4, 1);
        check(EPOCH, 0, 1);
        check(EPOCH, KEPT + 5, 0);
        check(EPOCH, KEPT + 6, 1);
        check(EPOCH, u64::MAX, 1);
        check(EPOCH + 1, KEPT + 5, 1);
        check(0, 0, 1);
    }

    #[test]
    fn a_new_bus_has_an_epoch_and_no_events() {
        let bus = EventBus::new(0, 1, usize::MAX);
        assert_ne!(bus.cursor().epoch, EventCursor::UNKNOWN.epoch);
        assert_eq!(read_all(&bus, &mut bus.cursor()), (Vec::new(), 0));
    }

    #[test]
    fn an_event_has_its_number_in_its_cursor_and_in_its_json() {
        let bus = bus_of(2);
        let EventBatch::Events(events) = bus.read(&mut EventCursor { epoch: EPOCH, seq: 0 }) else {
            panic!("a resync")
        };
        for (event, seq) in events.iter().zip(1_u64..) {
            let json: serde_json::Value = serde_json::from_str(event.published.json()).unwrap();
            assert_eq!((event.published.cursor().seq, &json["data"]["seq"]), (seq, &serde_json::json!(seq)));
        }
    }

    #[test]
    fn the_kept_events_are_bounded_in_bytes_too() {
        let mut bus = EventBus::new(EPOCH, KEPT as usize, 1000);
        publish(&mut bus, 1);
        let len = bus.kept_bytes;
        publish(&mut bus, KEPT);
        assert!(bus.kept_bytes <= 1000 && bus.kept_bytes > 1000 - 2 * len, "{}", bus.kept_bytes);
        assert_eq!(bus.kept.iter().map(|event| event.published.json().len()).sum::<usize>(), bus.kept_bytes);
        let mut small = EventBus::new(EPOCH, KEPT as usize, 1);
        publish(&mut small, 3);
        assert_eq!(small.kept.len(), 1, "the newest one stays");
    }

    proptest! {
        #[test]
        fn a_position_among_the_kept_events_gets_the_rest(before in 0..2 * KEPT, behind in 0..2 * KEPT) {
            let bus = bus_of(before + behind);
            let (seqs, resyncs) = read_all(&bus, &mut EventCursor { epoch: EPOCH, seq: before });
            if behind <= KEPT {
                prop_assert_eq!((seqs, resyncs), ((before + 1..=before + behind).collect(), 0));
            } else {
                prop_assert_eq!((seqs, resyncs), (Vec::new(), 1));
            }
        }

        #[test]
        fn a_reader_misses_only_what_a_resync_reports(steps in vec((0..KEPT, 0..4_usize), 1..8)) {
            let mut bus = EventBus::new(EPOCH, KEPT as usize, usize::MAX);
            let mut position = bus.cursor();
            let mut expected = 1;
            for (published, batches) in steps {
                publish(&mut bus, published);
                for _ in 0..batches {
                    match bus.read(&mut position) {
                        EventBatch::Resync(cursor) => expected = cursor.seq + 1,
                        EventBatch::Events(events) => {
                            for event in events {
                                prop_assert_eq!(event.published.cursor().seq, expected);
                                expected += 1;
                            }
                        }
                    }
                }
            }
        }
    }
}
