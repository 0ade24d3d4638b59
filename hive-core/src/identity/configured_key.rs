//! The admin key of the configuration. It belongs to no user, and is never stored.

use hive_wire::api::PlatformRole;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::access::{Credential, Principal};
use crate::{Error, Result};

/// The least length of the key, in characters.
const MIN_LENGTH: usize = 32;
/// The longest key, in bytes.
const MAX_LENGTH: usize = 1024;
/// The least number of different characters: a key such as `xxxx…` is a placeholder.
const MIN_DIFFERENT: usize = 10;
/// Parts of keys that are placeholders, in lower case.
const PLACEHOLDERS: [&str; 7] = ["changeme", "change-me", "change_me", "placeholder", "example", "your-", "<"];

/// The digest of the admin key of the configuration.
pub(crate) struct ConfiguredKey([u8; 32]);

impl ConfiguredKey {
    /// Reads the key.
    ///
    /// # Errors
    /// `InvalidInput` for one that is short, or a placeholder. The error does not have the key.
    pub(crate) fn new(key: &SecretString) -> Result<Self> {
        let text = key.expose_secret();
        let invalid = |rule: &str| Error::invalid("admin_api_key", rule);
        if text.chars().count() < MIN_LENGTH || text.len() > MAX_LENGTH {
            return Err(invalid("must have 32 characters or more, and at most 1024 bytes"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("must have visible ASCII characters alone, because it is the value of a header"));
        }
        if text.starts_with("hive_") {
            return Err(invalid("must not begin with hive_, which other keys begin with"));
        }
        let different: std::collections::BTreeSet<_> = text.bytes().collect();
        let lower = text.to_ascii_lowercase();
        if different.len() < MIN_DIFFERENT || PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
            return Err(invalid("must be random; a placeholder is refused"));
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    /// Whether a text is the key. It takes as long for any text of the same length.
    pub(super) fn is_key(&self, text: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(text).into();
        digest.ct_eq(&self.0).into()
    }

    /// The principal of the key: everything, and no user.
    pub(super) fn principal(ip: Option<String>) -> Principal {
        Principal { ip, ..Principal::new(Credential::Configured, "configured admin key", PlatformRole::GlobalAdmin) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_and_no_placeholder() {
        let check = |key: &str, rule: &str| {
            let error = ConfiguredKey::new(&key.into()).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(rule) && (rule.is_empty() || !error.contains(key)), "{key}: {error}");
        };
        check("3kW9-vQ2p-Zt7M-bX4c-Lr8N-Yd5H-Js", "");
        check("3kW9-vQ2p-Zt7M-bX4c-Lr8N-Yd5H-J", "32 characters");
        check("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "random");
        check("please-changeme-0123456789-0123456789", "random");
        check("3kW9 vQ2p Zt7M bX4c Lr8N Yd5H Js 12", "visible");
        check("hive_key_3kW9-vQ2p-Zt7M-bX4c-Lr8N-Yd5H", "hive_");
    }

    #[test]
    fn the_key_alone_is_the_key() {
        let key = ConfiguredKey::new(&"3kW9-vQ2p-Zt7M-bX4c-Lr8N-Yd5H-Js".into()).unwrap();
        assert!(key.is_key("3kW9-vQ2p-Zt7M-bX4c-Lr8N-Yd5H-Js"));
        assert!(!key.is_key("3kW9-vQ2p-Zt7M-bX4c-Lr8N-Yd5H-J") && !key.is_key(""));
        let actor = ConfiguredKey::principal(None).actor();
        assert_eq!((actor.kind.as_str(), actor.id.as_str()), ("configured", "admin_api_key"));
    }
}
