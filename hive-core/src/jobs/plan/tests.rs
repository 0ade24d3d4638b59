use std::cell::RefCell;
use std::collections::HashSet;

use hive_wire::id::Seed;
use proptest::prelude::*;

use super::*;
use CommandStatus::*;

const WAIT: Duration = Duration::from_mins(5);
const HOLD: Duration = Duration::from_secs(400);

fn seed(n: usize) -> Seed {
    Seed { unix_millis: n as u64, random: [1; 10] }
}

fn satellite(n: usize) -> SatelliteId {
    SatelliteId::new(seed(n))
}

fn command(n: usize) -> CommandId {
    CommandId::new(seed(n))
}

fn target(n: usize, status: TargetStatus) -> TargetState {
    let is_run = status != TargetStatus::NotRun;
    let name = format!("web-server-{n:04}").try_into().unwrap();
    TargetState { satellite: satellite(n), name, command: is_run.then(|| command(n)), status, exit_code: None }
}

fn plan_of(concurrency: usize, now: Instant, statuses: &[TargetStatus]) -> Plan {
    let targets = statuses.iter().enumerate().map(|(n, status)| target(n, status.clone())).collect();
    Plan::new(Rules { concurrency, wait: WAIT, hold: HOLD }, targets, now, |_| HOLD)
}

fn queued(count: usize, concurrency: usize, now: Instant) -> Plan {
    plan_of(concurrency, now, &vec![TargetStatus::Command(Queued); count])
}

fn commands(numbers: impl IntoIterator<Item = usize>) -> Vec<CommandId> {
    numbers.into_iter().map(command).collect()
}

fn all_here(_: SatelliteId) -> bool {
    true
}

#[tokio::test]
async fn turns_come_in_order_and_never_more_than_the_concurrency() {
    let now = Instant::now();
    let mut plan = queued(5, 2, now);
    assert_eq!(plan.next(now, all_here), commands([0, 1]));
    assert_eq!(plan.next(now, all_here), []);
    assert!(plan.note_ended(command(1), Succeeded, Some(0)));
    assert_eq!(plan.next(now, all_here), commands([2]));
    assert!(plan.note_ended(command(0), Failed, Some(1)));
    assert!(plan.note_ended(command(2), Succeeded, Some(0)));
    assert_eq!(plan.next(now, all_here), commands([3, 4]));
    assert!(!plan.is_done());
    for n in [3, 4] {
        plan.note_ended(command(n), Succeeded, Some(0));
    }
    assert!(plan.is_done());
    let counts = plan.counts();
    assert_eq!((counts.of(&TargetStatus::Command(Succeeded)), counts.of(&TargetStatus::Command(Failed))), (4, 1));
}

#[tokio::test]
async fn what_was_in_flight_before_a_restart_counts() {
    let now = Instant::now();
    let statuses = [Started, Queued, Delivered, Succeeded, Queued].map(TargetStatus::Command);
    let mut plan = plan_of(3, now, &statuses);
    assert_eq!(plan.next(now, all_here), commands([1]), "two of three are taken");
    plan.note_ended(command(2), OutcomeUnknown, None);
    assert_eq!(plan.next(now, all_here), commands([4]));
}

#[tokio::test]
async fn the_first_end_counts() {
    let now = Instant::now();
    let mut plan = queued(1, 1, now);
    plan.next(now, all_here);
    assert!(plan.note_ended(command(0), Failed, Some(3)));
    assert!(!plan.note_ended(command(0), Succeeded, Some(0)));
    assert_eq!(plan.targets()[0].exit_code, Some(3));
    assert!(!plan.note_ended(command(7), Succeeded, None), "a command of another job");
    assert_eq!(plan.log(0).len(), 1);
}

#[tokio::test]
async fn one_that_is_away_holds_nobody_up_and_goes_when_it_is_back() {
    let now = Instant::now();
    let mut plan = queued(3, 1, now);
    let first_is_away = |id| id != satellite(0);
    assert_eq!(plan.next(now, first_is_away), commands([1]));
    plan.note_ended(command(1), Succeeded, Some(0));
    assert_eq!(plan.next(now, all_here), commands([0]), "before those behind it");
}

#[tokio::test]
async fn one_that_stays_away_expires_counted_from_its_turn() {
    let now = Instant::now();
    let mut plan = queued(3, 1, now);
    let last_is_away = |id| id != satellite(2);
    assert_eq!(plan.next(now, last_is_away), commands([0]));
    let later = now + 10 * WAIT;
    assert_eq!(plan.expired(later), [], "it waits for the concurrency");
    plan.note_ended(command(0), Succeeded, Some(0));
    assert_eq!(plan.next(later, last_is_away), commands([1]));
    plan.note_ended(command(1), Succeeded, Some(0));
    assert_eq!(plan.next(later, last_is_away), []);
    assert_eq!(plan.wakes_at(later), Some(later + WAIT));
    assert_eq!(plan.expired(later + WAIT - Duration::from_millis(1)), []);
    assert_eq!(plan.expired(later + WAIT), commands([2]));
    plan.note_ended(command(2), Expired, None);
    assert!(plan.is_done());
}

#[tokio::test]
async fn one_that_came_back_behind_a_full_job_does_not_expire() {
    let now = Instant::now();
    let mut plan = queued(2, 1, now);
    assert_eq!(plan.next(now, |id| id != satellite(0)), commands([1]));
    assert_eq!(plan.next(now, all_here), [], "the other one runs");
    assert_eq!(plan.expired(now + 10 * WAIT), []);
    plan.note_ended(command(1), Succeeded, Some(0));
    assert_eq!(plan.next(now, all_here), commands([0]));
}

#[tokio::test]
async fn one_that_cannot_be_used_is_tried_again_and_expires_all_the_same() {
    let now = Instant::now();
    let mut plan = queued(1, 1, now);
    for minute in 0..4 {
        let then = now + Duration::from_mins(minute);
        assert_eq!(plan.next(then, all_here), commands([0]));
        plan.defer(command(0), then);
    }
    assert_eq!(plan.expired(now + WAIT), commands([0]), "counted from the first time");
}

#[tokio::test]
async fn a_turn_that_came_to_nothing_is_given_again() {
    let now = Instant::now();
    let mut plan = queued(2, 1, now);
    assert_eq!(plan.next(now, all_here), commands([0]));
    plan.requeue(command(0));
    assert_eq!(plan.counts().queued(), 2);
    assert_eq!(plan.next(now, all_here), commands([0]));
    plan.note_ended(command(0), Cancelled, None);
    plan.requeue(command(0));
    assert_eq!(plan.next(now, all_here), commands([1]), "one that has ended stays so");
}

#[tokio::test]
async fn one_that_is_never_heard_of_again_is_in_the_way_only_while_it_may_run() {
    let now = Instant::now();
    let mut plan = queued(2, 1, now);
    plan.next(now, all_here);
    assert_eq!(plan.wakes_at(now), Some(now + HOLD));
    assert_eq!(plan.next(now + HOLD - Duration::from_millis(1), all_here), []);
    assert_eq!(plan.next(now + HOLD, all_here), commands([1]));
    plan.note_ended(command(1), Succeeded, Some(0));
    assert!(!plan.is_done(), "its end is still to come");
}

#[tokio::test]
async fn a_stopped_job_gives_no_more_turns() {
    let now = Instant::now();
    let mut plan = queued(3, 1, now);
    plan.next(now, all_here);
    plan.stop();
    plan.note_ended(command(0), Cancelled, None);
    assert_eq!(plan.next(now, all_here), []);
    for n in [1, 2] {
        plan.note_ended(command(n), Cancelled, None);
    }
    assert!(plan.is_done());
}

#[tokio::test]
async fn a_wait_ends_when_nothing_is_to_be_expected() {
    let (now, timeout) = (Instant::now(), Duration::from_secs(75));
    let mut plan = queued(2, 1, now);
    plan.next(now, all_here);
    assert_eq!(plan.wait_ends(timeout), None, "one waits for its turn");
    plan.note_ended(command(0), Succeeded, Some(0));
    plan.next(now + WAIT, all_here);
    assert_eq!(plan.wait_ends(timeout), Some(now + WAIT + timeout));
}

#[tokio::test]
async fn targets_that_are_not_run_have_ended() {
    let now = Instant::now();
    let mut plan = plan_of(1, now, &[TargetStatus::NotRun, TargetStatus::NotRun]);
    assert!(plan.is_done() && plan.next(now, all_here).is_empty());
    assert_eq!(plan.log(1), [TargetTransition::Ended(1)]);
    assert_eq!((plan.counts().ended(), plan.counts().is_success()), (2, false));
}

/// What happens to a job from outside.
#[derive(Debug, Clone)]
enum PlanStep {
    Turn,
    End(usize),
    Leave(usize),
    Return(usize),
    Fail(usize),
    Pass(usize),
    Later(u64),
}

fn events(count: usize) -> impl Strategy<Value = Vec<PlanStep>> {
    let event = prop_oneof![
        3 => Just(PlanStep::Turn),
        3 => (0..count).prop_map(PlanStep::End),
        1 => (0..count).prop_map(PlanStep::Leave),
        1 => (0..count).prop_map(PlanStep::Return),
        1 => (0..count).prop_map(PlanStep::Fail),
        1 => (0..count).prop_map(PlanStep::Pass),
        1 => (0u64..120).prop_map(PlanStep::Later),
    ];
    prop::collection::vec(event, 0..120)
}

proptest! {
    #[test]
    fn no_target_is_lost_or_run_twice_and_the_concurrency_is_kept(concurrency in 1usize..5, events in events(8)) {
        let mut now = Instant::now();
        let mut plan = queued(8, concurrency, now);
        let away = RefCell::new(HashSet::new());
        let (mut flying, mut ended) = (HashSet::new(), HashSet::new());
        for event in events {
            match event {
                PlanStep::Turn => {
                    for id in plan.next(now, |id| !away.borrow().contains(&id)) {
                        prop_assert!(!ended.contains(&id), "it had ended");
                        prop_assert!(flying.insert(id), "it was under way");
                    }
                }
                PlanStep::End(n) => {
                    // Only what was handed over ends in this log.
                    if flying.remove(&command(n)) {
                        prop_assert!(plan.note_ended(command(n), Succeeded, Some(0)));
                        ended.insert(command(n));
                    }
                }
                PlanStep::Leave(n) => drop(away.borrow_mut().insert(satellite(n))),
                PlanStep::Return(n) => drop(away.borrow_mut().remove(&satellite(n))),
                PlanStep::Fail(n) if flying.remove(&command(n)) => plan.requeue(command(n)),
                PlanStep::Pass(n) if flying.remove(&command(n)) => plan.defer(command(n), now),
                PlanStep::Fail(_) | PlanStep::Pass(_) => {}
                // Shorter than what is under way may last, so that the concurrency is the concurrency.
                PlanStep::Later(millis) => now += Duration::from_millis(millis),
            }
            prop_assert!(flying.len() <= concurrency);
            prop_assert_eq!(plan.counts().total(), 8);
            prop_assert_eq!(plan.counts().running(), flying.len() as u64);
        }
        // Everybody is there now: the job comes to its end.
        away.borrow_mut().clear();
        for _ in 0..100 {
            flying.extend(plan.next(now, all_here));
            for id in flying.drain() {
                plan.note_ended(id, Succeeded, Some(0));
                prop_assert!(ended.insert(id));
            }
        }
        prop_assert!(plan.is_done() && plan.counts().is_success());
        prop_assert_eq!(ended.len(), 8);
    }
}
