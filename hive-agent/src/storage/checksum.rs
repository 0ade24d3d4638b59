//! A checksum that detects disks that change data: FNV-1a with 64 bits, as 16 hexadecimal digits.
//!
//! Each step is a bijection of the state, so one changed byte is always detected, and any other change with a
//! probability of 1 - 2^-64. It protects against accidents, not against attackers.

use std::fmt;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum(u64);

impl Checksum {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(OFFSET, |state, &byte| (state ^ u64::from(byte)).wrapping_mul(PRIME)))
    }

    /// Whether it equals the checksum that was written.
    pub(crate) fn is(self, written: &[u8]) -> bool {
        self.to_string().as_bytes() == written
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_the_published_function() {
        assert_eq!(Checksum::of(b"").to_string(), "cbf29ce484222325");
        assert_eq!(Checksum::of(b"foobar").to_string(), "85944171f73967e8");
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_seen(mut bytes in proptest::collection::vec(any::<u8>(), 1..200), place in any::<usize>(), flip in 1u8..) {
            let before = Checksum::of(&bytes);
            let place = place % bytes.len();
            bytes[place] ^= flip;
            prop_assert_ne!(Checksum::of(&bytes), before);
        }
    }
}
