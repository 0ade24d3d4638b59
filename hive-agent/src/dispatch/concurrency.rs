//! How many commands run at the same time, counted by class, so that what keeps one kind busy does not stop another.

use hive_wire::agent::Payload;

/// Changes of power that are under way at the same time. They are quick, or end the boot.
const MAX_POWER: usize = 16;

/// Kinds of commands that share their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Programs.
    Process,
    /// Changes of the machine's power.
    Power,
}

impl Class {
    /// The class of what a command does.
    pub(crate) fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Power(_) => Self::Power,
            _ => Self::Process,
        }
    }
}

/// The places of all classes.
#[derive(Debug)]
pub(crate) struct Places {
    process: Count,
    power: Count,
}

#[derive(Debug)]
struct Count {
    taken: usize,
    limit: usize,
}

impl Places {
    /// No command runs, and `max_processes` programs may.
    pub(crate) fn new(max_processes: usize) -> Self {
        Self { process: Count { taken: 0, limit: max_processes }, power: Count { taken: 0, limit: MAX_POWER } }
    }

    /// Takes a place; false where the class has none left.
    pub(crate) fn take(&mut self, class: Class) -> bool {
        let count = self.count(class);
        let is_free = count.taken < count.limit;
        count.taken += usize::from(is_free);
        is_free
    }

    /// Gives a place back.
    pub(crate) fn give_back(&mut self, class: Class) {
        let count = self.count(class);
        count.taken = count.taken.saturating_sub(1);
    }

    fn count(&mut self, class: Class) -> &mut Count {
        match class {
            Class::Process => &mut self.process,
            Class::Power => &mut self.power,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_full_leaves_the_others_alone() {
        let mut places = Places::new(2);
        assert_eq!([(); 3].map(|()| places.take(Class::Process)), [true, true, false]);
        assert!(places.take(Class::Power));
        places.give_back(Class::Process);
        assert_eq!([(); 2].map(|()| places.take(Class::Process)), [true, false]);
        assert_eq!((1..=MAX_POWER).filter(|_| places.take(Class::Power)).count(), MAX_POWER - 1);
    }
}
