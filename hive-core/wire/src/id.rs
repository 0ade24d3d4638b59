//! Typed identifiers: a prefix and a UUIDv7 in lower-case Crockford base32.
//!
//! `sat_01jd3k…` sorts by its time of creation, is easy to read aloud, and cannot be passed to a function that expects
//! another kind of id. The hive makes ids from its clock and its randomness: [`Seed`] carries both.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of the part behind the prefix: 26 × 5 bits hold 128.
const ENCODED_LEN: usize = 26;

/// What a new id is made of: a time and ten random bytes.
#[derive(Debug, Clone, Copy)]
pub struct Seed {
    /// Milliseconds since the Unix epoch.
    pub unix_millis: u64,
    /// Fresh random bytes, never used for another id.
    pub random: [u8; 10],
}

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 26 characters of [0-9a-hjkmnp-tv-z]")]
pub struct InvalidId {
    /// The prefix the text should have had, without the underscore.
    pub prefix: &'static str,
}

fn encode(value: u128) -> [u8; ENCODED_LEN] {
    let mut text = [0; ENCODED_LEN];
    let mut rest = value;
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    text
}

fn decode(text: &str) -> Option<u128> {
    // 26 × 5 = 130 bits: a first character above 7 would not fit into 128.
    if text.len() != ENCODED_LEN || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0u128, |value, byte| {
        // Crockford's base32 also reads upper case and look-alikes. Here an id has exactly one text, by which it can be
        // searched.
        let digit = ALPHABET.iter().position(|&letter| letter == byte)?;
        Some(value << 5 | digit as u128)
    })
}

macro_rules! ids {
    ($(#[doc = $doc:literal] $name:ident = $prefix:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The text in front of the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a new id.
            pub fn new(seed: Seed) -> Self {
                // UUIDv7 (RFC 9562, section 5.7): the time comes first, so that ids sort by age.
                Self(uuid::Builder::from_unix_timestamp_millis(seed.unix_millis, &seed.random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(self.0.as_u128());
                write!(f, concat!($prefix, "_{}"), std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(|value| Self(Uuid::from_u128(value)))
                    .ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::schema::id($prefix, $doc)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// One hive: its database, wherever that is served or restored.
    HiveId = "hive";
    /// One managed machine.
    SatelliteId = "sat";
    /// One terminal.
    SessionId = "sess";
    /// One who looks at a terminal. Random and told to nobody else, so that it says who comes back.
    ViewerId = "view";
    /// One command on one satellite.
    CommandId = "cmd";
    /// One request that fans out to many commands.
    JobId = "job";
    /// A person who may log in.
    UserId = "usr";
    /// A team.
    TeamId = "team";
    /// A group of satellites.
    GroupId = "grp";
    /// A user's API key.
    ApiKeyId = "key";
    /// A token with which one satellite may register.
    RegistrationTokenId = "reg";
    /// One audit record.
    AuditId = "aud";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_refused(text: &str) {
        assert!(text.parse::<SatelliteId>().is_err(), "{text:?} was taken for an id");
    }

    #[test]
    fn a_text_of_another_shape_is_refused() {
        let good = SatelliteId::new(Seed { unix_millis: 1, random: [7; 10] }).to_string();
        for bad in
            ["", "sat_", "sat", &good[..29], &format!("{good}0"), &good.replace("sat_", "usr_"), &good.to_uppercase()]
        {
            check_refused(bad);
        }
        check_refused("sat_80000000000000000000000000");
        check_refused("sat_é0000000000000000000000000");
    }

    #[test]
    fn later_ids_sort_behind_earlier_ones() {
        let early = SatelliteId::new(Seed { unix_millis: 1_000, random: [255; 10] });
        let late = SatelliteId::new(Seed { unix_millis: 1_001, random: [0; 10] });
        assert!(early < late && early.to_string() < late.to_string());
    }

    proptest! {
        #[test]
        fn every_id_reads_back(unix_millis in 0u64..1 << 48, random: [u8; 10]) {
            let id = CommandId::new(Seed { unix_millis, random });
            prop_assert_eq!(id.to_string().len(), 30);
            prop_assert_eq!(id.to_string().parse::<CommandId>(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<CommandId>(&json).unwrap(), id);
        }
    }
}
