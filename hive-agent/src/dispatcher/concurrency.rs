//! Limits how many commands run at the same time, per class, so that one kind of command cannot block another.

use hive_wire::agent::Payload;

/// Power commands at the same time. They take little time, or end the boot.
const MAX_POWER: usize = 16;

/// Commands that share slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConcurrencyClass {
    /// Processes.
    Process,
    /// Changes of the machine's power state.
    Power,
}

impl ConcurrencyClass {
    /// The class of a payload.
    pub(crate) fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Power(_) => Self::Power,
            _ => Self::Process,
        }
    }
}

/// The slots of all classes.
#[derive(Debug)]
pub(crate) struct ConcurrencySlots {
    process: SlotCount,
    power: SlotCount,
}

#[derive(Debug)]
struct SlotCount {
    used: usize,
    limit: usize,
}

impl ConcurrencySlots {
    /// Free slots for `max_processes` processes.
    pub(crate) fn new(max_processes: usize) -> Self {
        Self { process: SlotCount { used: 0, limit: max_processes }, power: SlotCount { used: 0, limit: MAX_POWER } }
    }

    /// Takes a slot. Returns false where the class has none left.
    pub(crate) fn acquire(&mut self, class: ConcurrencyClass) -> bool {
        let count = self.count(class);
        let is_free = count.used < count.limit;
        count.used += usize::from(is_free);
        is_free
    }

    /// Returns a slot.
    pub(crate) fn release(&mut self, class: ConcurrencyClass) {
        let count = self.count(class);
        // Saturating: a second release must not wrap and block the class forever.
        count.used = count.used.saturating_sub(1);
    }

    fn count(&mut self, class: ConcurrencyClass) -> &mut SlotCount {
        match class {
            ConcurrencyClass::Process => &mut self.process,
            ConcurrencyClass::Power => &mut self.power,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_full_leaves_the_others_alone() {
        let mut slots = ConcurrencySlots::new(2);
        assert_eq!([(); 3].map(|()| slots.acquire(ConcurrencyClass::Process)), [true, true, false]);
        assert!(slots.acquire(ConcurrencyClass::Power));
        slots.release(ConcurrencyClass::Process);
        assert_eq!([(); 2].map(|()| slots.acquire(ConcurrencyClass::Process)), [true, false]);
        assert_eq!((1..=MAX_POWER).filter(|_| slots.acquire(ConcurrencyClass::Power)).count(), MAX_POWER - 1);
    }
}
