//! Whatever a peer sends: control messages read or are refused, and a receiver takes no byte twice and none beyond its
//! credit. Each message of the input is `kind u8 | length u16 | bytes`.

#![no_main]

use bytes::{Buf, Bytes};
use hive_wire::agent::{ToAgent, ToServer};
use hive_wire::frame::Frame;
use hive_wire::session::{FromViewer, ToViewer};
use hive_wire::stream::{MAX_WINDOW, Receiver};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|input: &[u8]| {
    let mut input = Bytes::copy_from_slice(input);
    let mut receiver = Receiver::resuming_at(0);
    let mut stored = 0;
    while input.remaining() >= 3 {
        let kind = input.get_u8();
        let len = usize::from(input.get_u16()).min(input.remaining());
        let message = input.split_to(len);
        match kind % 6 {
            0 => control::<ToServer>(&message),
            1 => control::<ToAgent>(&message),
            2 => control::<FromViewer>(&message),
            3 => control::<ToViewer>(&message),
            4 => receive(&mut receiver, message),
            _ => {
                stored = receiver.received().min(stored + message.len() as u64);
                receiver.consumed_to(stored);
            }
        }
        assert!(receiver.received() - stored <= MAX_WINDOW);
    }
});

/// What reads is written in a form that reads as the same.
fn control<M: Serialize + DeserializeOwned>(message: &[u8]) {
    let Ok(read) = serde_json::from_slice::<M>(message) else {
        return;
    };
    let written = serde_json::to_vec(&read).expect("control messages are plain data");
    let again = serde_json::from_slice::<M>(&written).expect("what was written can be read");
    assert_eq!(written, serde_json::to_vec(&again).expect("control messages are plain data"));
}

fn receive(receiver: &mut Receiver, message: Bytes) {
    let Ok(frame) = Frame::decode(message) else {
        return;
    };
    let before = receiver.received();
    match receiver.accept(&frame) {
        Ok(fresh) => assert_eq!(receiver.received() - before, fresh.len() as u64),
        Err(_) => assert_eq!(receiver.received(), before),
    }
}
