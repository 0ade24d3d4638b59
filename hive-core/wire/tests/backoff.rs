//! Delays between attempts to reach a server.

use std::time::Duration;

use hive_wire::backoff::{Backoff, BackoffLimits};
use proptest::prelude::*;

const VIEWER: BackoffLimits = BackoffLimits { initial: Duration::from_millis(100), max: Duration::from_secs(5) };

fn ceilings(count: usize) -> Vec<u64> {
    let mut backoff = Backoff::new(BackoffLimits::default());
    (0..count).map(|_| backoff.next_delay(1.0).as_secs()).collect()
}

#[test]
fn ceilings_double_up_to_the_cap() {
    assert_eq!(ceilings(11), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert_eq!(*ceilings(100).last().unwrap(), 300);
}

#[test]
fn a_success_resets_the_ceiling() {
    let mut backoff = Backoff::new(BackoffLimits::default());
    backoff.next_delay(1.0);
    backoff.next_delay(1.0);
    backoff.reset();
    assert_eq!(backoff.next_delay(1.0), Duration::from_secs(1));
}

#[test]
fn the_servers_delay_is_a_floor() {
    let mut backoff = Backoff::new(BackoffLimits::default());
    assert_eq!(backoff.next_delay_after(Duration::from_secs(7), 0.5), Duration::from_millis(7_500));
}

#[test]
fn equal_jitter_is_at_least_half_of_the_ceiling() {
    let mut backoff = Backoff::new(VIEWER);
    let delays: Vec<_> = (0..8).map(|_| backoff.next_delay_from_half(0.0).as_millis()).collect();
    assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 2500, 2500]);
    backoff.reset();
    assert_eq!(backoff.next_delay_from_half(1.0), VIEWER.initial);
}

proptest! {
    #[test]
    fn full_jitter_covers_everything_below_the_ceiling(failures in 0usize..200, roll in 0.0f64..1.0) {
        let mut backoff = Backoff::new(BackoffLimits::default());
        for _ in 0..failures {
            backoff.next_delay(roll);
        }
        let ceiling = backoff.clone().next_delay(1.0);
        prop_assert_eq!(backoff.next_delay(roll), ceiling.mul_f64(roll));
        prop_assert!(ceiling <= Duration::from_mins(5));
    }
}
