//! Keys in the keyring of the desktop: the Secret Service that GNOME, KDE and KeePassXC offer over D-Bus.
//!
//! A key lies there under its id at its hive, so that two profiles never mean the same entry. Where there is no keyring, or
//! this program was built without, callers keep the key in a file.

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
    Silent,
    #[error("the keyring does not have it any more")]
    Lost,
    #[cfg(all(feature = "keyring", target_os = "linux"))]
    #[error("the keyring refused: {0}")]
    Refused(secret_service::Error),
}

type Result<T> = std::result::Result<T, KeyringError>;

/// Keeps a key. `whose` is shown by the keyring's own program.
pub(crate) async fn keep(id: &str, whose: &str, key: &SecretString) -> Result<()> {
    service::keep(id, whose, key).await
}

/// Finds a key that was kept.
pub(crate) async fn find(id: &str) -> Result<SecretString> {
    service::find(id).await
}

/// Forgets a key, where it is there.
pub(crate) async fn forget(id: &str) -> Result<()> {
    service::forget(id).await
}
