use bytes::Bytes;
use futures_util::future::join_all;
use hive_store::{CommandOutcome, StoreError};
use hive_wire::CommandId;
use hive_wire::agent::{Channel, Received};
use hive_wire::api::CommandStatus;

use crate::fixture::Fixture;

async fn append(on: &Fixture, id: CommandId, offset: u64, bytes: &'static [u8]) {
    on.store.command_output_append(id, Channel::Stdout, offset, Bytes::from_static(bytes)).await.unwrap();
}

async fn read(on: &Fixture, id: CommandId, channel: Channel, from: u64) -> Bytes {
    on.store.command_output(id, channel, from, usize::MAX).await.unwrap()
}

pub(crate) async fn chunks_may_be_repeated_and_leave_no_gap(on: &Fixture) {
    let id = on.command().await;
    assert_eq!(on.store.command_output_len(id).await.unwrap(), Received::default());
    append(on, id, 0, b"").await;
    append(on, id, 0, b"abc\0").await;
    append(on, id, 0, b"abc\0").await;
    // Output is bytes, and not text.
    append(on, id, 2, b"c\0\xff").await;
    append(on, id, 1, b"bc").await;
    let gap = on.store.command_output_append(id, Channel::Stdout, 6, Bytes::from_static(b"x")).await;
    assert!(matches!(gap, Err(StoreError::Corrupt(_))), "{gap:?}");
    on.store.command_output_append(id, Channel::Stderr, 0, Bytes::from_static(b"oops")).await.unwrap();
    assert_eq!(on.store.command_output_len(id).await.unwrap(), Received { stdout: 5, stderr: 4 });
    assert_eq!(read(on, id, Channel::Stdout, 0).await, &b"abc\0\xff"[..]);
    assert_eq!(read(on, id, Channel::Stderr, 0).await, &b"oops"[..]);
    // The same chunks from two links concurrently.
    let both = (0..16u64).flat_map(|piece| [5 + piece, 5 + piece]);
    join_all(both.map(|offset| append(on, id, offset, b"z"))).await;
    assert_eq!(on.store.command_output_len(id).await.unwrap().stdout, 21);
}

pub(crate) async fn output_is_read_from_any_byte_in_whole_chunks(on: &Fixture) {
    let id = on.command().await;
    for (offset, piece) in [(0, &b"abcd"[..]), (4, b"efgh"), (8, b"ij")] {
        append(on, id, offset, piece).await;
    }
    let check = async |from, limit, expected: &str| {
        let bytes = on.store.command_output(id, Channel::Stdout, from, limit).await.unwrap();
        assert_eq!(bytes, expected.as_bytes(), "from {from} up to {limit}");
    };
    check(0, usize::MAX, "abcdefghij").await;
    check(0, 8, "abcdefgh").await;
    check(0, 9, "abcdefgh").await;
    // At least one chunk is returned, so that a reader always gets on.
    check(0, 0, "abcd").await;
    check(2, 4, "cd").await;
    check(6, 100, "ghij").await;
    check(10, 100, "").await;
    // An offset far after the end is no error.
    check(1 << 40, 100, "").await;
}

pub(crate) async fn the_last_chunks_are_stored_with_the_end(on: &Fixture) {
    let (id, gap) = (on.command().await, on.command().await);
    append(on, id, 0, b"he").await;
    let piece = |offset, bytes: &'static [u8]| (Channel::Stdout, offset, Bytes::from_static(bytes));
    let with = |output| CommandOutcome { output, ..on.outcome(CommandStatus::Succeeded) };
    let stderr = |offset, bytes: &'static [u8]| (Channel::Stderr, offset, Bytes::from_static(bytes));
    let end = with(vec![piece(0, b"hel"), piece(3, b"lo"), stderr(0, b""), stderr(0, b"!")]);
    assert!(on.store.command_finish(id, end, Vec::new()).await.unwrap());
    assert_eq!(read(on, id, Channel::Stdout, 0).await, &b"hello"[..]);
    assert_eq!(read(on, id, Channel::Stderr, 0).await, &b"!"[..]);
    assert!(!on.store.command_finish(id, with(vec![piece(5, b" again")]), Vec::new()).await.unwrap());
    assert_eq!(on.store.command_output_len(id).await.unwrap().stdout, 5, "a second end added output");
    // The status was changed before the gap is found, and must be undone.
    assert!(on.store.command_finish(gap, with(vec![piece(1, b"x")]), Vec::new()).await.is_err());
    assert_eq!(on.stored(gap).await.status, CommandStatus::Queued, "an end that cannot be stored ended the command");
}
