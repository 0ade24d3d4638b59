//! Keys in the keyring of the desktop: the Secret Service that GNOME, KDE and KeePassXC offer over D-Bus.
//!
//! A key lies there under its id at its hive, so that two profiles never mean the same entry. Where there is no keyring, or
//! this program was built without, callers keep the key in a file.

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

#[cfg(all(feature = "keyring", target_os = "linux"))]
mod service {
    use std::collections::HashMap;
    use std::time::Duration;

    use secrecy::{ExposeSecret, SecretString};
    use secret_service::{EncryptionType, Error, SecretService};
    use tokio::time::timeout;

    use super::{KeyringError, Result};

    /// How long it may take to find out that there is one.
    const CONNECT: Duration = Duration::from_secs(3);
    /// How long its owner may take to unlock it.
    const UNLOCK: Duration = Duration::from_mins(1);

    impl From<Error> for KeyringError {
        fn from(error: Error) -> Self {
            match error {
                Error::NoResult => Self::Lost,
                // There is no bus, or nobody on it offers one.
                Error::Unavailable | Error::Zbus(_) | Error::ZbusFdo(_) => Self::Missing,
                other => Self::Refused(other),
            }
        }
    }

    fn labels(id: &str) -> HashMap<&str, &str> {
        HashMap::from([("application", "satellite-hive"), ("api-key", id)])
    }

    async fn open() -> Result<SecretService<'static>> {
        let opening = timeout(CONNECT, SecretService::connect(EncryptionType::Dh));
        Ok(opening.await.map_err(|_| KeyringError::Silent)??)
    }

    async fn patiently<T>(doing: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
        Ok(timeout(UNLOCK, doing).await.map_err(|_| KeyringError::Silent)??)
    }

    pub(super) async fn keep(id: &str, whose: &str, key: &SecretString) -> Result<()> {
        let service = open().await?;
        patiently(async {
            let collection = service.get_any_collection().await?;
            if collection.is_locked().await? {
                collection.unlock().await?;
            }
            let secret = key.expose_secret().as_bytes();
            collection.create_item(whose, labels(id), secret, true, "text/plain").await?;
            Ok(())
        })
        .await
    }

    pub(super) async fn find(id: &str) -> Result<SecretString> {
        let service = open().await?;
        let secret = patiently(async {
            let found = service.search_items(labels(id)).await?;
            let is_locked = found.unlocked.is_empty();
            let item = found.unlocked.into_iter().chain(found.locked).next().ok_or(Error::NoResult)?;
            if is_locked {
                item.unlock().await?;
            }
            item.get_secret().await
        })
        .await?;
        Ok(String::from_utf8(secret).map_err(|_| KeyringError::Lost)?.into())
    }

    pub(super) async fn forget(id: &str) -> Result<()> {
        let service = open().await?;
        patiently(async {
            let found = service.search_items(labels(id)).await?;
            for item in found.unlocked.iter().chain(&found.locked) {
                item.unlock().await?;
                item.delete().await?;
            }
            Ok(())
        })
        .await
    }
}

#[cfg(not(all(feature = "keyring", target_os = "linux")))]
mod service {
    use secrecy::SecretString;

    use super::{KeyringError, Result};

    pub(super) async fn keep(_id: &str, _whose: &str, _key: &SecretString) -> Result<()> {
        Err(KeyringError::Missing)
    }

    pub(super) async fn find(_id: &str) -> Result<SecretString> {
        Err(KeyringError::Missing)
    }

    pub(super) async fn forget(_id: &str) -> Result<()> {
        Err(KeyringError::Missing)
    }
}
