//! The decisions about commands in flight, without a store.

use hive_wire::id::Seed;

use super::output_buffer::CHUNK;
use super::*;

const MAX_BUFFERED: usize = 1024 * 1024;

fn meta(satellite: SatelliteId) -> CommandMeta {
    let actor = Actor { kind: "system".into(), id: "system".into(), name: "system".into(), ip: None };
    CommandMeta { satellite, team: None, job: None, command_type: CommandType::Exec, actor }
}

fn one_command() -> (InFlightCommands, CommandId, SatelliteId) {
    let seed = Seed { unix_millis: 1, random: [1; 10] };
    let (id, satellite) = (CommandId::new(seed), SatelliteId::new(seed));
    let commands = InFlightCommands::new(MAX_BUFFERED);
    commands.begin(id, meta(satellite), Received::default());
    (commands, id, satellite)
}

#[test]
fn output_that_comes_twice_is_taken_once() {
    let (commands, id, _) = one_command();
    for (offset, bytes) in [(0, "abc"), (0, "abc"), (1, "bcde")] {
        commands.add_output(id, &Channel::Stdout, offset, &Bytes::from_static(bytes.as_bytes())).unwrap();
    }
    assert_eq!(commands.output(id, &Channel::Stdout, 0).unwrap(), "abcde");
    assert_eq!(commands.add_output(id, &Channel::Stdout, 6, &Bytes::from_static(b"x")), Err(OutputError::Gap));
}

#[test]
fn a_full_chunk_is_dropped_only_once_it_is_stored() {
    let (commands, id, _) = one_command();
    assert!(commands.add_output(id, &Channel::Stderr, 0, &vec![7; CHUNK].into()).unwrap());
    let (offset, chunk) = commands.full_chunk(id, &Channel::Stderr).unwrap();
    assert_eq!((offset, chunk.len()), (0, CHUNK));
    assert!(commands.output(id, &Channel::Stderr, 0).is_some());
    commands.note_stored(id, &Channel::Stderr, CHUNK as u64);
    assert!(commands.output(id, &Channel::Stderr, 0).is_none());
    assert_eq!(commands.received(id).unwrap().stderr, CHUNK as u64);
}

#[test]
fn a_command_is_expected_until_its_time_is_up_or_its_output_ends() {
    let (commands, id, _) = one_command();
    let at = |seconds| Timestamp::from_micros(0).plus(Duration::from_secs(seconds));
    let until = || commands.expected_until(id, Duration::from_secs(5), Duration::from_mins(1));
    assert_eq!(until(), None, "it was not sent from here");
    commands.note_sent(id, at(100));
    commands.note_heard(id, at(101));
    assert_eq!(until(), Some(at(165)));
    commands.note_heard(id, at(130));
    assert_eq!(until(), Some(at(190)), "its output still comes");
    commands.note_sent(id, at(200));
    assert_eq!(until(), Some(at(265)), "it may begin only now");
}

#[test]
fn another_satellite_has_no_say() {
    let (commands, id, satellite) = one_command();
    let other = SatelliteId::new(Seed { unix_millis: 1, random: [2; 10] });
    assert!(commands.meta(id, satellite).is_some());
    assert!(commands.meta(id, other).is_none());
}

#[test]
fn over_the_limit_output_is_stored_early_and_the_fullest_first() {
    const LIMIT: usize = 10_000;
    let commands = InFlightCommands::new(LIMIT);
    let seed = |number| Seed { unix_millis: 1, random: [number; 10] };
    let (id, satellite) = (|number| CommandId::new(seed(number)), SatelliteId::new(seed(1)));
    let add = |number: u8, length: usize| {
        commands.begin(id(number), meta(satellite), Received::default());
        commands.add_output(id(number), &Channel::Stdout, 0, &vec![number; length].into()).unwrap()
    };
    assert_eq!((add(1, 1000), add(2, 6000), add(3, 3000)), (false, false, false));
    assert!(commands.begin_spill().is_none(), "it is not over the limit");
    assert!(add(4, 500), "its satellite waits until it is stored");
    let (offset, early) = commands.full_chunk(id(4), &Channel::Stdout).unwrap();
    assert_eq!((offset, early.len()), (0, 500));
    let spill = commands.begin_spill().unwrap();
    assert!(commands.begin_spill().is_none() && !commands.needs_spill(), "one is enough");
    assert_eq!(spill.fullest(), [(id(2), Channel::Stdout)], "half of the limit is free without it");
    assert_eq!(spill.chunk(id(2), &Channel::Stdout).unwrap().into_bytes(), vec![2; 6000]);
    commands.note_stored(id(2), &Channel::Stdout, 6000);
    assert_eq!((commands.buffered_bytes(), spill.chunk(id(2), &Channel::Stdout).is_none()), (4500, true));
    drop(spill);
    for number in 1..=4 {
        commands.end(id(number), None);
    }
    assert_eq!(commands.buffered_bytes(), 0);
}

#[tokio::test]
async fn whoever_waits_for_a_command_is_woken_when_it_begins_and_when_it_ends() {
    let (commands, id, satellite) = one_command();
    assert!(matches!(commands.watch(id), WatchedCommand::InFlight(_)));
    let other = CommandId::new(Seed { unix_millis: 1, random: [2; 10] });
    let wait = || match commands.watch(other) {
        WatchedCommand::Absent(absent) => absent,
        WatchedCommand::InFlight(_) => panic!("it is not in flight"),
    };
    let (mut first, mut second) = (wait(), wait());
    assert_eq!(commands.absent(), [other]);
    commands.begin(other, meta(satellite), Received::default());
    assert_eq!((first.changed().await, second.changed().await), (false, false));
    commands.end(other, None);
    assert!(first.changed().await && second.changed().await);
    drop(first);
    assert_eq!(commands.absent(), [other]);
    drop(second);
    assert!(commands.absent().is_empty());
}

#[test]
fn output_beyond_the_cap_is_refused() {
    let (commands, id, _) = one_command();
    let too_far = commands.add_output(id, &Channel::Stdout, 0, &vec![0; MAX_OUTPUT as usize + 1].into());
    assert_eq!(too_far, Err(OutputError::BeyondCap));
}
