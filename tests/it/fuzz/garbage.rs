//! Pieces of garbage: most of them nearly right, which is where the trouble is.

use hive_core::wire::frame::{Frame, StreamId};
use serde_json::{Value, json};

use crate::support::Dice;

/// The most bytes of a message, on either side.
const MAX_MESSAGE: usize = 1024 * 1024;
/// An id of the right shape that belongs to nothing.
const NOTHING: &str = "01m7zhs4ame3yv6f01xz5xb2e4";

/// What is sent at one go: messages of the WebSocket, or bytes below it.
#[derive(Debug)]
pub(crate) enum Garbage {
    /// A whole message.
    Message { opcode: u8, payload: Vec<u8> },
    /// Bytes where a frame's header should be.
    Raw(Vec<u8>),
}

impl Garbage {
    pub(crate) fn of(dice: &mut Dice) -> Self {
        match dice.below(12) {
            0 => {
                let len = 2 + dice.below(200) as usize;
                Self::Raw(dice.bytes(len))
            }
            1 => Self::Message { opcode: 3 + dice.below(5) as u8, payload: dice.bytes(10) },
            2 => {
                let len = dice.below(400) as usize;
                Self::text(dice.bytes(len))
            }
            3 => Self::text("[".repeat(1_000 + dice.below(100_000) as usize)),
            4 => Self::text(format!("{}{}", "{\"type\":".repeat(5_000), dice.below(10))),
            5 => Self::text(vec![b' '; MAX_MESSAGE + 100 + dice.below(1_000) as usize]),
            6 => {
                // A header that is cut off, or says nonsense.
                let len = dice.below(20) as usize;
                Self::binary(dice.bytes(len))
            }
            7 => Self::binary(vec![1; 64 * 1024 + 15 + dice.below(100) as usize]),
            8 => Self::frame(dice),
            9 => Self::text(mutated(&message(dice).to_string(), dice)),
            _ => Self::text(message(dice).to_string()),
        }
    }

    /// The bytes on the wire; what a client sends is masked.
    pub(crate) fn bytes(&self, is_masked: bool) -> Vec<u8> {
        let (opcode, payload) = match self {
            Self::Raw(bytes) => return bytes.clone(),
            Self::Message { opcode, payload } => (*opcode, payload),
        };
        let mask = if is_masked { 0x80 } else { 0x00 };
        let mut bytes = vec![0x80 | opcode];
        match payload.len() {
            len @ ..126 => bytes.push(mask | len as u8),
            len @ ..65_536 => {
                bytes.push(mask | 0x7e);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(mask | 0x7f);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        if is_masked {
            // A mask of zeros changes nothing.
            bytes.extend([0; 4]);
        }
        bytes.extend(payload);
        bytes
    }

    fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self::Message { opcode: 1, payload: payload.into() }
    }

    fn binary(payload: impl Into<Vec<u8>>) -> Self {
        Self::Message { opcode: 2, payload: payload.into() }
    }

    /// A frame of a stream that is not there, or behind the end of all offsets.
    fn frame(dice: &mut Dice) -> Self {
        let offset = [0, 1, u64::from(u32::MAX), u64::MAX - 1, u64::MAX][dice.below(5) as usize];
        let stream = StreamId([0, 1, 2, 7, u32::MAX][dice.below(5) as usize]);
        let len = dice.below(50) as usize;
        Self::binary(Frame::data(stream, offset, dice.bytes(len).into(), dice.below(2) == 0).encode())
    }
}

/// A message of either side, with numbers and ids nobody expects.
fn message(dice: &mut Dice) -> Value {
    let number = [0, 1, 7, u64::from(u32::MAX), u64::MAX / 2, u64::MAX][dice.below(6) as usize];
    let command = format!("cmd_{NOTHING}");
    let session = format!("sess_{NOTHING}");
    let all = [
        json!({"type": "command_ack", "id": command}),
        json!({"type": "command_result", "id": command, "status": "succeeded", "exit_code": 0, "duration_ms": number,
            "sent": {"stdout": number, "stderr": number}}),
        json!({"type": "stream_open", "stream": number, "command_id": command, "channel": "stdout", "offset": number}),
        json!({"type": "stream_credit", "stream": number, "limit": number}),
        json!({"type": "pty_started", "session_id": session, "pid": number}),
        json!({"type": "pty_gap", "session_id": session, "from": number, "to": 0}),
        json!({"type": "pty_applied", "session_id": session, "offset": number}),
        json!({"type": "pty_attach", "session_id": session, "received": number}),
        json!({"type": "pty_flow", "session_id": session, "limit": number, "keep": number}),
        json!({"type": "pty_resize", "session_id": session, "cols": number, "rows": 0}),
        json!({"type": "pty_end", "session_id": session}),
        json!({"type": "result_ack", "id": command}),
        json!({"type": "command_cancel", "id": command}),
        json!({"type": "command", "id": command, "expires_in_ms": number, "command_type": "exec",
            "payload": {"command": "true", "timeout_seconds": number}}),
        json!({"type": "handshake", "agent_id": number}),
        json!({"type": "handshake_ack", "success": true, "protocol_version": "2", "heartbeat_interval": number}),
        json!({"type": "heartbeat_pong", "timestamp": number}),
        json!({"type": "from_the_future", "data": [number, {"x": null}]}),
        json!({"type": number}),
        json!([number]),
        Value::Null,
    ];
    all[dice.below(all.len() as u64) as usize].clone()
}

/// The same text with some bytes changed, lost or doubled.
fn mutated(text: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() as u64) as usize;
        match dice.below(3) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, bytes[at]),
        }
    }
    bytes
}
