//! The key that signs exports of the audit log.

use data_encoding::BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// Signs manifests with Ed25519.
pub struct AuditSigner {
    key: SigningKey,
}

impl AuditSigner {
    /// A signer with this secret key: 32 random bytes.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(secret) }
    }

    /// Returns the public key in base64. It is all that is needed to verify exports offline.
    pub fn public_key(&self) -> String {
        BASE64.encode(self.key.verifying_key().as_bytes())
    }

    /// Signs a text. Returns the signature in base64.
    pub fn sign(&self, text: &str) -> String {
        BASE64.encode(&self.key.sign(text.as_bytes()).to_bytes())
    }

    /// The secret key, for its file.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }
}

impl std::fmt::Debug for AuditSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditSigner").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}

/// Parses a public key in base64.
pub(super) fn public_key(text: &str) -> Option<VerifyingKey> {
    let bytes = BASE64.decode(text.trim().as_bytes()).ok()?;
    VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok()
}

/// Whether `signature`, in base64, is a signature of this text by this key.
pub(super) fn is_signed(key: &VerifyingKey, text: &str, signature: &str) -> bool {
    let signature = BASE64.decode(signature.as_bytes()).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
    // The strict verification refuses weak public keys too, for which one signature fits many texts.
    signature.is_some_and(|signature| key.verify_strict(text.as_bytes(), &signature).is_ok())
}
