use super::*;
use hive_wire::api::{Actor, Session, SessionStatus, Size};
use hive_wire::id::Seed;
use hive_wire::{SatelliteId, SatelliteName, SessionId, Timestamp, ViewerId};
use proptest::prelude::*;

const SEED: Seed = Seed { unix_millis: 1, random: [1; 10] };

fn attached(output: u64, modes: Option<&str>) -> Attached {
    let session = Session {
        id: SessionId::new(SEED),
        satellite_id: SatelliteId::new(SEED),
        satellite_name: SatelliteName::try_from("web-server-01").unwrap(),
        status: SessionStatus::Open,
        online: true,
        size: Size::default(),
        shell: None,
        created_by: Actor { kind: "user".into(), id: "usr_x".into(), name: "anna".into(), ip: None },
        created_at: Timestamp::from_micros(0),
        ended_at: None,
        end: None,
        viewers: 1,
    };
    let viewer = ViewerId::new(SEED);
    let modes = modes.map(str::to_owned);
    Attached { session, viewer, output, modes, control: mine(0), is_resumed: false }
}

fn mine(input: u64) -> Control {
    Control { is_mine: true, input, holder: None }
}

fn others(input: u64) -> Control {
    Control { is_mine: false, input, holder: Some("otto".into()) }
}

fn typing_at(offset: u64, text: &str) -> PendingInput {
    let mut input = PendingInput::starting_with(mine(offset));
    input.push(text.as_bytes()).unwrap();
    input
}

fn say(input: &mut PendingInput) -> Option<(u64, Bytes)> {
    let piece = input.next()?;
    input.on_sent(piece.0 + piece.1.len() as u64);
    Some(piece)
}

fn check_says(input: &mut PendingInput, offset: u64, text: &'static str) {
    assert_eq!(say(input), Some((offset, text.into())));
}

#[test]
fn output_that_came_before_comes_once() {
    let mut cursor = OutputCursor::starting_with(&attached(10, None));
    assert_eq!(cursor.take(10, "abc".into()), "abc");
    assert_eq!(cursor.on_attached(&attached(11, None)), None);
    assert_eq!(cursor.take(11, "bcde".into()), "de");
    assert_eq!(cursor.take(12, "c".into()), "");
    assert_eq!(cursor.position(), 15);
}

#[test]
fn what_nobody_has_any_more_is_told_once() {
    let mut cursor = OutputCursor::starting_with(&attached(0, None));
    let gap = Some(Discontinuity::Gap { from: 0, to: 100 });
    assert_eq!(cursor.on_attached(&attached(100, None)), gap);
    assert_eq!(cursor.skip_to(100), None);
    assert_eq!(cursor.skip_to(50), None);
    assert_eq!(cursor.position(), 100);
}

#[test]
fn a_fresh_screen_may_begin_before_what_was_seen() {
    let mut cursor = OutputCursor::starting_with(&attached(500, None));
    let reset = Discontinuity::Reset { modes: "\x1b[?25l".into() };
    assert_eq!(cursor.on_attached(&attached(400, Some("\x1b[?25l"))), Some(reset));
    assert_eq!(cursor.take(400, "again".into()), "again");
}

#[test]
fn what_is_typed_is_said_once_and_kept_until_it_is_applied() {
    let mut input = typing_at(7, "ls");
    check_says(&mut input, 7, "ls");
    assert_eq!(say(&mut input), None);
    input.push(b"\n").unwrap();
    check_says(&mut input, 9, "\n");
    input.on_applied(9);
    assert_eq!(input.unapplied(), 1);
    input.on_applied(10);
    assert_eq!(input.unapplied(), 0);
}

#[test]
fn no_more_is_under_way_than_may_be() {
    let mut input = PendingInput::starting_with(mine(0));
    input.push(&vec![b'x'; INPUT_WINDOW as usize]).unwrap();
    assert_eq!(input.room(), 0);
    assert_eq!(input.push(b"y"), Err(InputRefusal::NoRoom));
    input.on_applied(10);
    assert_eq!(input.room(), 10);
}

#[test]
fn the_keyboard_of_another_takes_nothing() {
    let mut input = PendingInput::starting_with(others(0));
    assert_eq!((input.room(), input.push(b"y")), (0, Err(InputRefusal::NotWriter)));
}

#[test]
fn a_keyboard_that_is_still_ours_gets_what_it_does_not_have() {
    let mut input = typing_at(0, "abcdef");
    say(&mut input);
    input.on_applied(2);
    assert_eq!(input.on_attached(mine(4), Reattach::Writer), 0);
    check_says(&mut input, 4, "ef");
    // The hive was killed before it passed "cd" on.
    assert_eq!(input.on_attached(mine(2), Reattach::Writer), 0);
    check_says(&mut input, 2, "cdef");
}

#[test]
fn a_keyboard_that_was_anothers_gets_nothing_of_before() {
    for control in [mine(3), mine(50), others(50)] {
        let mut input = typing_at(3, "rm -r");
        say(&mut input);
        assert_eq!(input.on_attached(control.clone(), Reattach::New), 5, "{control:?}");
        assert_eq!(say(&mut input), None, "{control:?}");
    }
}

#[test]
fn what_comes_too_late_for_the_keyboard_is_counted() {
    let mut input = typing_at(0, "abc");
    say(&mut input);
    assert_eq!(input.on_control(others(2)), 1);
    assert_eq!(say(&mut input), None);
    assert_eq!(input.on_control(mine(10)), 0);
    input.push(b"d").unwrap();
    check_says(&mut input, 10, "d");
}

#[test]
fn a_hive_that_remembers_a_viewer_says_what_of_its_input_came_too_late() {
    let mut input = typing_at(10, "abcdef");
    input.on_sent(14);
    assert_eq!(input.on_attached(others(13), Reattach::Viewer), 3);
    assert_eq!(input.unapplied(), 0);
}

#[test]
fn what_was_handed_over_with_the_keyboard_is_counted_when_a_hive_loses_it() {
    let mut input = typing_at(0, "abc");
    say(&mut input);
    assert_eq!(input.on_control(others(3)), 0);
    assert_eq!(input.on_attached(others(1), Reattach::New), 2);
}

#[test]
fn what_is_refused_is_said_again_when_something_has_changed() {
    let mut input = typing_at(0, "abc");
    input.on_refused();
    assert_eq!(say(&mut input), None);
    input.on_applied(0);
    check_says(&mut input, 0, "abc");
}

/// One step of a random test.
#[derive(Debug, Clone)]
enum ReattachStep {
    Type(u8),
    Say,
    Apply(u8),
    TellApplied,
    /// The connection is cut. The hive may be killed too, and another viewer may type before this one is back.
    Cut {
        is_killed: bool,
        other: bool,
    },
    /// Another viewer takes the keyboard, types, and gives it back.
    Lend,
}

fn step() -> impl Strategy<Value = ReattachStep> {
    prop_oneof![
        6 => (1u8..20).prop_map(ReattachStep::Type),
        6 => Just(ReattachStep::Say),
        6 => (0u8..40).prop_map(ReattachStep::Apply),
        3 => Just(ReattachStep::TellApplied),
        2 => (any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(is_killed, other)| ReattachStep::Cut { is_killed, other }),
        1 => Just(ReattachStep::Lend),
    ]
}

/// A hive and a satellite, reduced to the accepted bytes and the number of those that the satellite has.
#[derive(Default)]
struct Far {
    taken: Vec<u8>,
    applied: usize,
}

/// A viewer that types the numbers from 1 to 250 in turn, and another that types zeros.
struct ReattachModel {
    input: PendingInput,
    far: Far,
    typed: Vec<u8>,
    lost: u64,
}

impl ReattachModel {
    fn new() -> Self {
        Self { input: PendingInput::starting_with(mine(0)), far: Far::default(), typed: Vec::new(), lost: 0 }
    }

    fn run(&mut self, step: ReattachStep) {
        match step {
            ReattachStep::Type(count) => {
                for _ in 0..count {
                    let key = (self.typed.len() % 250) as u8 + 1;
                    self.input.push(&[key]).unwrap();
                    self.typed.push(key);
                }
            }
            ReattachStep::Say => self.say(),
            ReattachStep::Apply(count) => {
                self.far.applied = self.far.taken.len().min(self.far.applied + count as usize);
            }
            ReattachStep::TellApplied => self.input.on_applied(self.far.applied as u64),
            ReattachStep::Cut { is_killed, other } => self.cut(is_killed, other),
            ReattachStep::Lend => {
                self.lost += self.input.on_control(others(self.far.taken.len() as u64));
                self.far.taken.extend([0; 3]);
                assert_eq!(self.input.on_control(mine(self.far.taken.len() as u64)), 0);
            }
        }
    }

    /// Sends the pending input. The hive accepts only bytes without a gap.
    fn say(&mut self) {
        while let Some((offset, data)) = say(&mut self.input) {
            let known = self.far.taken.len().checked_sub(offset as usize).expect("no byte is left out");
            self.far.taken.extend_from_slice(data.get(known..).unwrap_or_default());
        }
    }

    fn cut(&mut self, is_killed: bool, other: bool) {
        if is_killed {
            // The hive loses what the satellite does not have yet.
            self.far.taken.truncate(self.far.applied);
        }
        if other {
            self.far.taken.extend([0; 5]);
        }
        self.lost += self
            .input
            .on_attached(mine(self.far.taken.len() as u64), if other { Reattach::New } else { Reattach::Writer });
    }

    fn settle(&mut self) {
        self.say();
        self.far.applied = self.far.taken.len();
        self.input.on_applied(self.far.applied as u64);
        assert_eq!(self.input.unapplied(), 0);
    }

    /// Returns the input of the viewer that has arrived.
    fn arrived(&self) -> Vec<u8> {
        self.far.taken.iter().copied().filter(|key| *key != 0).collect()
    }
}

proptest! {
    #[test]
    fn a_keyboard_that_stays_ours_loses_nothing_and_doubles_nothing(steps in prop::collection::vec(step(), 0..200)) {
        let mut world = ReattachModel::new();
        for step in steps {
            match step {
                ReattachStep::Lend => {}
                ReattachStep::Cut { is_killed, .. } => world.run(ReattachStep::Cut { is_killed, other: false }),
                step => world.run(step),
            }
        }
        world.settle();
        prop_assert_eq!(world.arrived(), world.typed);
        prop_assert_eq!(world.lost, 0);
    }

    #[test]
    fn a_keyboard_that_changes_hands_doubles_nothing_and_counts_what_it_loses(steps in prop::collection::vec(step(), 0..200)) {
        let mut world = ReattachModel::new();
        for step in steps {
            // Input that a killed hive had passed on for another lease is lost, and no side can count it.
            let is_uncounted = matches!(step, ReattachStep::Cut { is_killed: true, .. }) && world.far.applied < world.far.taken.len();
            if !is_uncounted {
                world.run(step);
            }
        }
        world.settle();
        let arrived = world.arrived();
        let mut typed = world.typed.iter();
        prop_assert!(arrived.iter().all(|key| typed.any(|other| other == key)), "twice or out of order");
        prop_assert!(world.typed.len() as u64 - arrived.len() as u64 <= world.lost, "a loss is not counted");
    }

    #[test]
    fn a_reader_sees_every_byte_once_and_knows_what_is_missing(
        cuts in prop::collection::vec((0u64..60, 1usize..40, 0u64..80), 1..40),
    ) {
        let all: Vec<u8> = (0..4000u32).map(|n| (n % 251) as u8).collect();
        let mut cursor = OutputCursor::starting_with(&attached(0, None));
        let mut screen: Vec<Option<u8>> = Vec::new();
        for (overlap, count, dropped) in cuts {
            // The hive begins a little before the viewer's offset, or behind it if its ring has moved on.
            let begin = (cursor.position() + dropped.saturating_sub(60)).saturating_sub(overlap);
            if let Some(Discontinuity::Gap { from, to }) = cursor.on_attached(&attached(begin, None)) {
                screen.extend((from..to).map(|_| None));
            }
            let end = (begin as usize + count + overlap as usize).min(all.len());
            let data = cursor.take(begin, all[begin as usize..end].to_vec().into());
            screen.extend(data.iter().map(|byte| Some(*byte)));
        }
        prop_assert_eq!(screen.len() as u64, cursor.position());
        for (seen, sent) in screen.iter().zip(&all) {
            prop_assert!(seen.is_none_or(|byte| byte == *sent));
        }
    }
}
