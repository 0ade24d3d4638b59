//! How many commands are open, so that a full queue refuses further ones.
//!
//! The counts are in memory: a count in the database would cost as much as the queue is long. They begin with what the store
//! has, follow each command that is accepted and each that ends, and are taken anew after changes that end many commands at
//! once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use hive_wire::SatelliteId;

use crate::settings::Settings;
use crate::store::OpenCommandCount;
use crate::sync::lock;

/// Which queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FullQueue {
    Satellite,
    Caller,
}

/// The open commands of each satellite, and of each caller without those of jobs.
#[derive(Default)]
pub(crate) struct OpenCommandCounts(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    satellites: HashMap<SatelliteId, u32>,
    callers: HashMap<String, u32>,
    is_stale: bool,
}

impl OpenCommandCounts {
    /// Counts a command that is about to be stored, unless that is one too many. `caller` is left out for one of a job.
    pub(crate) fn add(
        &self,
        satellite: SatelliteId,
        caller: Option<&str>,
        settings: &Settings,
    ) -> Result<(), FullQueue> {
        let mut counts = self.lock();
        if counts.satellites.get(&satellite).is_some_and(|count| *count >= settings.max_queue_per_satellite) {
            return Err(FullQueue::Satellite);
        }
        // The satellite was checked before, so that a refusal leaves neither count changed.
        if let Some(caller) = caller {
            match counts.callers.get_mut(caller) {
                Some(count) if *count >= settings.max_open_per_caller => return Err(FullQueue::Caller),
                Some(count) => *count += 1,
                None if settings.max_open_per_caller == 0 => return Err(FullQueue::Caller),
                None => drop(counts.callers.insert(caller.to_owned(), 1)),
            }
        }
        *counts.satellites.entry(satellite).or_default() += 1;
        Ok(())
    }

    /// Counts a command that has ended, or was not stored.
    pub(crate) fn remove(&self, satellite: SatelliteId, caller: Option<&str>) {
        let mut counts = self.lock();
        // It may be missing: a recount between the insert and this end did not see the command any more.
        if let Some(count) = counts.satellites.get_mut(&satellite) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.satellites.remove(&satellite);
            }
        }
        if let Some((caller, count)) = caller.and_then(|caller| Some((caller, counts.callers.get_mut(caller)?))) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.callers.remove(caller);
            }
        }
    }

    /// Notes that many commands have ended at once.
    pub(crate) fn mark_stale(&self) {
        self.lock().is_stale = true;
    }

    /// Returns whether they are to be counted anew; true once.
    pub(crate) fn take_stale(&self) -> bool {
        std::mem::take(&mut self.lock().is_stale)
    }

    /// Replaces the counts with those of the store.
    pub(crate) fn replace(&self, open: Vec<OpenCommandCount>) {
        let (mut satellites, mut callers) = (HashMap::<_, u32>::new(), HashMap::<_, u32>::new());
        for OpenCommandCount { satellite_id, created_by, is_of_job, count } in open {
            *satellites.entry(satellite_id).or_default() += count;
            if !is_of_job {
                *callers.entry(created_by).or_default() += count;
            }
        }
        let mut counts = self.lock();
        // The mark stays: it may have been set after the store was read.
        (counts.satellites, counts.callers) = (satellites, callers);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    fn satellite(n: u8) -> SatelliteId {
        SatelliteId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn settings() -> Settings {
        Settings { max_queue_per_satellite: 3, max_open_per_caller: 2, ..Settings::default() }
    }

    #[test]
    fn a_full_queue_takes_no_more_until_a_command_ends() {
        let (counts, settings) = (OpenCommandCounts::default(), settings());
        assert_eq!([(); 3].map(|()| counts.add(satellite(1), None, &settings)), [Ok(()); 3]);
        assert_eq!(counts.add(satellite(1), Some("one"), &settings), Err(FullQueue::Satellite));
        assert_eq!(counts.add(satellite(2), Some("one"), &settings), Ok(()));
        counts.remove(satellite(1), None);
        assert_eq!(counts.add(satellite(1), Some("one"), &settings), Ok(()));
        assert_eq!(counts.add(satellite(3), Some("one"), &settings), Err(FullQueue::Caller));
        assert_eq!(counts.add(satellite(3), Some("two"), &settings), Ok(()));
        assert_eq!(counts.add(satellite(3), None, &settings), Ok(()), "jobs count for no caller");
        counts.remove(satellite(2), Some("one"));
        assert_eq!(counts.add(satellite(3), Some("one"), &settings), Ok(()));
    }

    #[test]
    fn counts_go_on_where_the_store_is() {
        let (counts, settings) = (OpenCommandCounts::default(), settings());
        let of = |n, caller: &str, is_of_job, count| OpenCommandCount {
            satellite_id: satellite(n),
            created_by: caller.into(),
            is_of_job,
            count,
        };
        counts.add(satellite(3), Some("two"), &settings).unwrap();
        counts.mark_stale();
        assert!(counts.take_stale() && !counts.take_stale());
        counts.replace(vec![of(1, "one", false, 1), of(1, "one", true, 1), of(2, "one", false, 1)]);
        assert_eq!(counts.add(satellite(2), Some("one"), &settings), Err(FullQueue::Caller));
        assert_eq!(counts.add(satellite(1), Some("two"), &settings), Ok(()));
        assert_eq!(counts.add(satellite(1), Some("two"), &settings), Err(FullQueue::Satellite));
        counts.mark_stale();
        counts.replace(Vec::new());
        assert!(counts.take_stale(), "what was marked while the store was read is counted again");
    }
}
