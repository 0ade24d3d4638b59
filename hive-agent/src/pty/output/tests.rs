//! Output with and without a claim.

use super::*;
use proptest::prelude::*;

const MIB: u64 = SCROLLBACK as u64;

fn fill(output: &mut OutputRing, len: u64) {
    let bytes: Vec<u8> = (output.end()..output.end() + len).map(|offset| (offset % 251) as u8).collect();
    output.append(&bytes);
}

fn sender(offset: u64, limit: u64) -> Sender {
    let mut sender = Sender::without_credit(offset);
    sender.credit(limit);
    sender
}

#[test]
fn a_program_waits_for_somebody_who_needs_its_output() {
    let mut output = OutputRing::new();
    assert_eq!(output.room(), FIRST_LIMIT);
    output.set_flow(100, Some(0));
    fill(&mut output, 60);
    assert_eq!(output.room(), 40);
    output.set_flow(50, Some(0));
    assert_eq!(output.room(), 0, "a smaller limit holds it up");
    output.release();
    assert_eq!(output.room(), u64::MAX);
}

#[test]
fn what_somebody_needs_is_kept_whatever_the_limit() {
    let mut output = OutputRing::new();
    output.set_flow(u64::MAX, Some(1000));
    fill(&mut output, 2000);
    while output.room() > 0 {
        let room = output.room();
        fill(&mut output, room);
    }
    let last_words = output.final_room();
    assert_eq!(last_words, RESERVE);
    fill(&mut output, last_words);
    assert!(output.ring.start() <= 1000);
    assert_eq!(output.final_room(), 0);
}

#[test]
fn a_claim_on_what_is_not_there_any_more_holds_on_to_the_rest() {
    let mut output = OutputRing::new();
    output.release();
    fill(&mut output, 3 * MIB);
    output.set_flow(u64::MAX, Some(5));
    let start = output.ring.start();
    assert!(output.room() <= start + MIB - output.end());
    output.set_flow(u64::MAX, Some(u64::MAX));
    assert_eq!(output.room(), MIB - RESERVE, "a claim beyond the end is one on the end");
}

#[test]
fn a_link_begins_where_its_server_stands() {
    let mut output = OutputRing::new();
    output.release();
    fill(&mut output, 3 * MIB);
    assert_eq!(output.resume_offset(Some(2 * MIB + 5)), 2 * MIB + 5);
    assert_eq!(output.resume_offset(Some(7)), 7, "what is missing of it is told as a gap");
    assert_eq!(output.resume_offset(Some(u64::MAX)), 3 * MIB);
    assert_eq!(output.resume_offset(None), 3 * MIB - SCREENFUL);
    output.set_flow(u64::MAX, Some(2 * MIB + 9));
    assert_eq!(output.resume_offset(None), 2 * MIB + 9);
    assert_eq!(OutputRing::new().resume_offset(None), 0);
}

#[test]
fn nothing_goes_out_without_credit() {
    let mut output = OutputRing::new();
    fill(&mut output, 10);
    let mut sender = Sender::without_credit(0);
    assert_eq!(output.next(&mut sender), None);
    sender.credit(4);
    assert_eq!(
        output.next(&mut sender),
        Some(OutputPiece::Data { offset: 0, bytes: Bytes::from_static(&[0, 1, 2, 3]) })
    );
    assert_eq!(output.next(&mut sender), None);
}

#[test]
fn who_falls_behind_is_told_what_is_missing() {
    let mut output = OutputRing::new();
    output.release();
    fill(&mut output, 100);
    let mut sender = sender(10, 20);
    assert!(matches!(output.next(&mut sender), Some(OutputPiece::Data { offset: 10, .. })));
    fill(&mut output, 2 * MIB);
    let start = output.ring.start();
    assert_eq!(output.next(&mut sender), Some(OutputPiece::Gap { from: 20, to: start }));
    assert_eq!(output.next(&mut sender), None, "the credit is used up");
    sender.credit(start + 1);
    assert!(matches!(output.next(&mut sender), Some(OutputPiece::Data { offset, .. }) if offset == start));
}

#[derive(Debug, Clone)]
enum OutputStep {
    Produce(u64),
    Flow { ahead: u64, claim: bool },
    Send(usize),
    Cut,
}

fn step() -> impl Strategy<Value = OutputStep> {
    prop_oneof![
        (0u64..400_000).prop_map(OutputStep::Produce),
        (0u64..1_500_000, any::<bool>()).prop_map(|(ahead, claim)| OutputStep::Flow { ahead, claim }),
        (0usize..20).prop_map(OutputStep::Send),
        Just(OutputStep::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, a server gets every byte once and in order, or a gap for it, and no gap while it holds a
    /// claim.
    #[test]
    fn every_byte_arrives_once_or_is_stated(steps in proptest::collection::vec(step(), 1..80)) {
        let mut output = OutputRing::new();
        let mut sender = Sender::without_credit(0);
        let (mut received, mut has_claim) = (0u64, true);
        for step in steps {
            match step {
                OutputStep::Produce(len) => {
                    let len = len.min(output.room());
                    fill(&mut output, len);
                }
                OutputStep::Flow { ahead, claim } => {
                    // Bytes may have been dropped before a claim was made.
                    has_claim = claim && (has_claim || received >= output.ring.start());
                    output.set_flow(received + ahead, claim.then_some(received));
                    sender.credit(received + ahead);
                }
                OutputStep::Send(count) => for _ in 0..count {
                    match output.next(&mut sender) {
                        Some(OutputPiece::Data { offset, bytes }) => {
                            prop_assert_eq!(offset, received);
                            let is_right = |(n, byte): (usize, &u8)| u64::from(*byte) == (offset + n as u64) % 251;
                            prop_assert!(bytes.iter().enumerate().all(is_right));
                            received += bytes.len() as u64;
                        }
                        Some(OutputPiece::Gap { from, to }) => {
                            prop_assert!(from == received && to > from && !has_claim);
                            received = to;
                        }
                        None => break,
                    }
                },
                OutputStep::Cut => sender = Sender::without_credit(output.resume_offset(Some(received))),
            }
        }
    }
}
