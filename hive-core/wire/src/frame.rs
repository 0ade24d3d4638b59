//! The binary envelope of data on a link: `kind u8 | flags u8 | stream u32 | offset u64 | payload`, big endian.
//!
//! `offset` counts the payload bytes of one direction of one stream. After a broken link, either side can say where to
//! continue, and a frame that arrives twice is recognised as old.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes in front of the payload.
pub const HEADER_LEN: usize = 14;
/// The most payload bytes of one frame.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Set on the last frame of one direction of a stream.
const FLAG_FIN: u8 = 1;
const KIND_DATA: u8 = 1;

/// A stream within one link. Satellites open odd ones, the server even ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub u32);

impl StreamId {
    /// Whether the satellite opened it.
    pub fn is_from_satellite(self) -> bool {
        self.0 % 2 == 1
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameKind {
    /// Bytes of the stream.
    Data,
    /// A kind of a newer version; the receiver ignores the frame.
    Unknown(u8),
}

/// One binary message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub kind: FrameKind,
    /// Whether it is the last one of its direction.
    pub is_last: bool,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// How many payload bytes of this direction came before.
    pub offset: u64,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: Bytes,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header.
    #[error("frame of {0} bytes is shorter than its header of {HEADER_LEN}")]
    TooShort(usize),
    /// More payload than allowed.
    #[error("frame payload of {0} bytes is larger than {MAX_PAYLOAD}")]
    TooLarge(usize),
    /// Offset and length do not fit into 64 bits.
    #[error("frame ends behind the largest offset")]
    OffsetOverflow,
}

impl Frame {
    /// A data frame.
    pub fn data(stream: StreamId, offset: u64, payload: Bytes, is_last: bool) -> Self {
        Self { kind: FrameKind::Data, is_last, stream, offset, payload }
    }

    /// The offset behind the last payload byte.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.payload.len() as u64)
    }

    /// Writes the frame as one message.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_LEN + self.payload.len());
        out.put_u8(match self.kind {
            FrameKind::Data => KIND_DATA,
            FrameKind::Unknown(kind) => kind,
        });
        out.put_u8(if self.is_last { FLAG_FIN } else { 0 });
        out.put_u32(self.stream.0);
        out.put_u64(self.offset);
        out.put_slice(&self.payload);
        out.freeze()
    }

    /// Reads one message. The payload shares the message's memory.
    pub fn decode(mut message: Bytes) -> Result<Self, FrameError> {
        if message.len() < HEADER_LEN {
            return Err(FrameError::TooShort(message.len()));
        }
        // Both parts share the memory of the message: the payload is not copied.
        let payload = message.split_off(HEADER_LEN);
        if payload.len() > MAX_PAYLOAD {
            return Err(FrameError::TooLarge(payload.len()));
        }
        let header: [u8; HEADER_LEN] = message[..].try_into().expect("split_off left exactly the header");
        let [kind, flags, s0, s1, s2, s3, offset @ ..] = header;
        let offset = u64::from_be_bytes(offset);
        // Checked once here, so that the arithmetic on offsets of decoded frames cannot overflow.
        if offset.checked_add(payload.len() as u64).is_none() {
            return Err(FrameError::OffsetOverflow);
        }
        Ok(Self {
            kind: if kind == KIND_DATA { FrameKind::Data } else { FrameKind::Unknown(kind) },
            // Other flags belong to later versions, and are ignored.
            is_last: flags & FLAG_FIN != 0,
            stream: StreamId(u32::from_be_bytes([s0, s1, s2, s3])),
            offset,
            payload,
        })
    }
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    StreamId => utoipa::openapi::schema::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::Integer).minimum(Some(0)).description(Some("A stream within a link."));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_has_the_documented_bytes() {
        let frame = Frame::data(StreamId(3), 0x0102, Bytes::from_static(b"hi"), true);
        assert_eq!(frame.encode().as_ref(), b"\x01\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02hi");
    }

    #[test]
    fn a_frame_that_breaks_a_limit_is_refused() {
        let too_large = Frame::data(StreamId(1), 0, vec![0; MAX_PAYLOAD + 1].into(), false).encode();
        assert_eq!(Frame::decode(too_large), Err(FrameError::TooLarge(MAX_PAYLOAD + 1)));
        let overflowing = Frame::data(StreamId(1), u64::MAX, Bytes::from_static(b"x"), false).encode();
        assert_eq!(Frame::decode(overflowing), Err(FrameError::OffsetOverflow));
        assert_eq!(Frame::decode(Bytes::from_static(b"short")), Err(FrameError::TooShort(5)));
    }

    proptest! {
        #[test]
        fn frames_read_back(stream: u32, offset in 0u64..1 << 60, payload in proptest::collection::vec(any::<u8>(), 0..2000), is_last: bool) {
            let frame = Frame::data(StreamId(stream), offset, payload.into(), is_last);
            prop_assert_eq!(Frame::decode(frame.encode()), Ok(frame));
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(Frame::decode(bytes.into()));
        }
    }
}
