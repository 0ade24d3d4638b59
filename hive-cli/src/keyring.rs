//! API keys in the keyring of the desktop: the Secret Service that GNOME, KDE and KeePassXC offer over D-Bus.
//!
//! A key is stored under its id, so two profiles never share an entry by mistake. Where there is no keyring, or this
//! program was built without it, callers store the key in a file.

// The two files have the same functions, chosen at compile time.
#[cfg(all(feature = "keyring", target_os = "linux"))]
#[path = "keyring/desktop.rs"]
mod service;
#[cfg(not(all(feature = "keyring", target_os = "linux")))]
#[path = "keyring/missing.rs"]
mod service;

use secrecy::SecretString;

/// Why the keyring could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyringError {
    #[error("there is no keyring here")]
    Missing,
    #[cfg(all(feature = "keyring", target_os = "linux"))]
    #[error("the keyring did not answer in time")]
    Timeout,
    #[error("the keyring does not have it any more")]
    NotFound,
    #[cfg(all(feature = "keyring", target_os = "linux"))]
    #[error("the keyring refused: {0}")]
    Refused(secret_service::Error),
}

type Result<T> = std::result::Result<T, KeyringError>;

/// Stores a key. The keyring's own program shows the `label`.
pub(crate) async fn store(id: &str, label: &str, key: &SecretString) -> Result<()> {
    service::store(id, label, key).await
}

/// Returns a stored key.
pub(crate) async fn load(id: &str) -> Result<SecretString> {
    service::load(id).await
}

/// Deletes a key, if it is there.
pub(crate) async fn delete(id: &str) -> Result<()> {
    service::delete(id).await
}
