//! The format of API keys and registration tokens. Nothing here verifies one.
//!
//! A key is `<kind prefix>_<key id>_<43 base64url characters>`. Base64url contains `_`, so the secret is cut off by its
//! length first; what is left of the key id finds the row.

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;
use crate::{ApiKeyId, SatelliteId};

/// Characters of a secret: 32 random bytes in base64url without padding.
pub const SECRET_LEN: usize = 43;

/// What our own registration tokens for the whole hive start with.
pub const GLOBAL_TOKEN_PREFIX: &str = "hive_satellite_global_";
/// What our own registration tokens for a team start with.
pub const TEAM_TOKEN_PREFIX: &str = "hive_satellite_team_";
/// Every prefix a registration token may have, the published ones included.
pub const TOKEN_PREFIXES: [&str; 4] =
    [GLOBAL_TOKEN_PREFIX, TEAM_TOKEN_PREFIX, "deploystack_satellite_global_", "deploystack_satellite_team_"];

const USER_KEY_PREFIX: &str = "hive_key_";
const SATELLITE_KEY_PREFIXES: [&str; 2] = ["hive_satellite_api_global_", "hive_satellite_api_team_"];

/// A credential on its way over the wire. It is written in full and never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A text without the format of the expected credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed credential")]
pub struct MalformedCredential;

impl From<InvalidId> for MalformedCredential {
    fn from(_: InvalidId) -> Self {
        Self
    }
}

/// Writes a user's API key.
pub fn user_key(id: ApiKeyId, secret: &str) -> String {
    format!("{USER_KEY_PREFIX}{}_{secret}", strip(&id.to_string()))
}

/// Takes a user's API key apart into the id that finds it and the secret that proves it.
pub fn split_user_key(key: &str) -> Result<(ApiKeyId, &str), MalformedCredential> {
    let (id, secret) = split(key, &[USER_KEY_PREFIX])?;
    Ok((format!("{}_{id}", ApiKeyId::PREFIX).parse()?, secret))
}

/// Writes a satellite's API key. `is_global` says whether the satellite serves the whole hive or one team.
pub fn satellite_key(is_global: bool, id: SatelliteId, secret: &str) -> String {
    let prefix = SATELLITE_KEY_PREFIXES[usize::from(!is_global)];
    format!("{prefix}{}_{secret}", strip(&id.to_string()))
}

/// Takes a satellite's API key apart into the satellite it names and the secret that proves it.
pub fn split_satellite_key(key: &str) -> Result<(SatelliteId, &str), MalformedCredential> {
    let (id, secret) = split(key, &SATELLITE_KEY_PREFIXES)?;
    Ok((format!("{}_{id}", SatelliteId::PREFIX).parse()?, secret))
}

/// The JWT inside a registration token; `None` where no known prefix stands in front of it.
pub fn registration_jwt(token: &str) -> Option<&str> {
    TOKEN_PREFIXES.iter().find_map(|prefix| token.strip_prefix(prefix))
}

fn strip(id: &str) -> &str {
    // The prefix of the key already says of what kind the id is.
    id.split_once('_').map_or(id, |(_, rest)| rest)
}

fn split<'k>(key: &'k str, prefixes: &[&str]) -> Result<(&'k str, &'k str), MalformedCredential> {
    let rest = prefixes.iter().find_map(|prefix| key.strip_prefix(prefix)).ok_or(MalformedCredential)?;
    let cut = rest.len().checked_sub(SECRET_LEN).ok_or(MalformedCredential)?;
    // The text comes from a caller: the cut may be inside a character.
    let (id, secret) = rest.split_at_checked(cut).ok_or(MalformedCredential)?;
    let is_base64url = secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match id.strip_suffix('_') {
        Some(id) if is_base64url => Ok((id, secret)),
        _ => Err(MalformedCredential),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Seed;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_come_apart_as_they_were_put_together(random: [u8; 10], secret in "[A-Za-z0-9_-]{43}", is_global: bool) {
            let seed = Seed { unix_millis: 1 << 40, random };
            let id = SatelliteId::new(seed);
            let key = satellite_key(is_global, id, &secret);
            prop_assert_eq!(split_satellite_key(&key), Ok((id, secret.as_str())));
            let id = ApiKeyId::new(seed);
            let key = user_key(id, &secret);
            prop_assert_eq!(split_user_key(&key), Ok((id, secret.as_str())));
        }

        #[test]
        fn garbage_is_refused_without_a_panic(text: String) {
            prop_assert!(split_user_key(&text).is_err());
            let prefixed = format!("{USER_KEY_PREFIX}{text}");
            prop_assert!(split_user_key(&prefixed).is_err());
        }
    }
}
