//! The Secret Service. Each call makes its own connection, because the program makes one call in its life.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use secret_service::{EncryptionType, Error, SecretService};
use tokio::time::timeout;

use super::{KeyringError, Result};

/// How long the connection to the Secret Service may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the user may take to unlock it. The keyring's own program asks for the password meanwhile.
const UNLOCK_TIMEOUT: Duration = Duration::from_mins(1);

impl From<Error> for KeyringError {
    fn from(error: Error) -> Self {
        match error {
            Error::NoResult => Self::NotFound,
            // There is no session bus (as over ssh), or no program on it offers a Secret Service.
            Error::Unavailable | Error::Zbus(_) | Error::ZbusFdo(_) => Self::Missing,
            other => Self::Refused(other),
        }
    }
}

fn attributes(id: &str) -> HashMap<&str, &str> {
    HashMap::from([("application", "satellite-hive"), ("api-key", id)])
}

async fn open() -> Result<SecretService<'static>> {
    let opening = timeout(CONNECT_TIMEOUT, SecretService::connect(EncryptionType::Dh));
    Ok(opening.await.map_err(|_| KeyringError::Timeout)??)
}

async fn with_unlock_timeout<T>(operation: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
    Ok(timeout(UNLOCK_TIMEOUT, operation).await.map_err(|_| KeyringError::Timeout)??)
}

pub(super) async fn store(id: &str, label: &str, key: &SecretString) -> Result<()> {
    let service = open().await?;
    with_unlock_timeout(async {
        let collection = service.get_any_collection().await?;
        if collection.is_locked().await? {
            collection.unlock().await?;
        }
        let secret = key.expose_secret().as_bytes();
        collection.create_item(label, attributes(id), secret, true, "text/plain").await?;
        Ok(())
    })
    .await
}

pub(super) async fn load(id: &str) -> Result<SecretString> {
    let service = open().await?;
    let secret = with_unlock_timeout(async {
        let found = service.search_items(attributes(id)).await?;
        let is_locked = found.unlocked.is_empty();
        let item = found.unlocked.into_iter().chain(found.locked).next().ok_or(Error::NoResult)?;
        // Unlocked items come first in the answer: only a locked one makes the keyring ask the user.
        if is_locked {
            item.unlock().await?;
        }
        item.get_secret().await
    })
    .await?;
    Ok(String::from_utf8(secret).map_err(|_| KeyringError::NotFound)?.into())
}

pub(super) async fn delete(id: &str) -> Result<()> {
    let service = open().await?;
    with_unlock_timeout(async {
        let found = service.search_items(attributes(id)).await?;
        for item in found.unlocked.iter().chain(&found.locked) {
            // A locked item cannot be deleted. Where it is unlocked already, this does nothing.
            item.unlock().await?;
            item.delete().await?;
        }
        Ok(())
    })
    .await
}
