//! The Secret Service: one connection for each call, because there is one call in the life of this program.

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
