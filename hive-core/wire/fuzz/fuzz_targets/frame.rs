//! Any bytes are a frame or are refused; a frame is written as it was read, but for flags of newer versions.

#![no_main]

use bytes::Bytes;
use hive_wire::frame::{Frame, MAX_PAYLOAD};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(frame) = Frame::decode(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    assert!(frame.payload.len() <= MAX_PAYLOAD);
    assert_eq!(frame.end() - frame.offset, frame.payload.len() as u64);
    assert_eq!(Frame::decode(frame.encode()), Ok(frame));
});
