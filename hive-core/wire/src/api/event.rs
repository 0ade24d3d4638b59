//! The position of a reader in the events of a hive.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The position of a reader in the events of a hive: it has read everything up to this number.
///
/// Its text is `EPOCH-SEQ`:
///
/// ```
/// use hive_wire::api::EventCursor;
///
/// let cursor: EventCursor = "9f3a1c07b2d4e856-1042".parse().unwrap();
/// assert_eq!((cursor.epoch, cursor.seq), (0x9f3a_1c07_b2d4_e856, 1042));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventCursor {
    /// The process that numbered the events: drawn at random when a server starts. Numbers of two epochs cannot be compared.
    pub epoch: u64,
    /// The number of the last event that was read, or 0.
    pub seq: u64,
}

impl EventCursor {
    /// A position in no epoch, which a hive answers with a `resync`.
    pub const UNKNOWN: Self = Self { epoch: 0, seq: 0 };
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the id of an event, such as 9f3a1c07b2d4e856-1042")]
pub struct EventCursorError;

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.seq)
    }
}

impl FromStr for EventCursor {
    type Err = EventCursorError;

    fn from_str(text: &str) -> Result<Self, EventCursorError> {
        let (epoch, seq) = text.split_once('-').ok_or(EventCursorError)?;
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| EventCursorError)?;
        let cursor = Self { epoch, seq: seq.parse().map_err(|_| EventCursorError)? };
        // The readers of numbers take signs, capitals and any count of zeros too.
        if cursor.to_string() == text { Ok(cursor) } else { Err(EventCursorError) }
    }
}

impl Serialize for EventCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The data of the event `resync`: some events before this position were dropped for the reader. It reads the list again;
/// the events behind the position follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resync {
    /// The position.
    pub cursor: EventCursor,
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    EventCursor => crate::schema::text()
        .description(Some("The position of a reader in the events of a hive: the id of the last event it has read."))
        .pattern(Some("^[0-9a-f]{16}-(0|[1-9][0-9]{0,19})$"))
        .examples(["9f3a1c07b2d4e856-1042"]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_text_of_a_cursor_is_read() {
        let check = |text: &str| assert_eq!(text.parse::<EventCursor>(), Err(EventCursorError), "{text}");
        for text in ["", "-", "1", "1-1", "0000000000000001", "0000000000000001-", "-0000000000000001-1"] {
            check(text);
        }
        check("0000000000000001-01");
        check("0000000000000001-+1");
        check("+000000000000001-1");
        check("00000000000000AB-1");
        check("0000000000000001-1 ");
        check("00000000000000001-1");
        check("0000000000000001-18446744073709551616");
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back(epoch: u64, seq: u64) {
            let cursor = EventCursor { epoch, seq };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            let json = serde_json::to_string(&cursor).unwrap();
            prop_assert_eq!(serde_json::from_str::<EventCursor>(&json).unwrap(), cursor);
        }
    }
}
