//! Builds a hive: its store, its keys and its services.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tracing::warn;

use super::services::{ServiceParts, Services};
use super::{Hive, HiveInner, Settings, key_check};
use crate::audit::sign_beginning_again;
use crate::clock::ClockAndRng;
use crate::context::DatabaseDisk;
#[cfg(test)]
use crate::context::DiskSpaceMonitor;
use crate::identity::configured_key::ConfiguredKey;
use crate::keys::{Keys, KeysError};
use crate::store::{self, Database, Fingerprints, Store, TelemetryStore};
use crate::{Error, Result};

/// Builds a [`Hive`]. Ends in [`build`](Self::build).
///
/// Without a store and without a data directory the hive lives in memory and is gone with the process.
#[derive(Default)]
pub struct HiveBuilder {
    data_dir: Option<PathBuf>,
    database: Option<Database>,
    store: Option<Arc<dyn Store>>,
    telemetry: Option<Arc<dyn TelemetryStore>>,
    keys: Option<Keys>,
    accepts_other_keys: bool,
    source: ClockAndRng,
    settings: Settings,
    admin_api_key: Option<SecretString>,
    #[cfg(test)]
    disk_space: Option<DiskSpaceMonitor>,
}

impl HiveBuilder {
    /// Keeps the keys in `<dir>/keys/` and, unless another one is named, the database in `<dir>/hive.db`; both are made where
    /// they are missing.
    #[must_use]
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// Keeps nothing beyond the process. This is the default; the method makes it explicit.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.data_dir = None;
        self
    }

    /// Uses this database instead of a file in the data directory.
    #[must_use]
    pub fn database(mut self, database: Database) -> Self {
        self.database = Some(database);
        self
    }

    /// Uses another store. The telemetry stays where it is without it: in the database of the builder, or in the data directory.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Uses another store for telemetry.
    #[must_use]
    pub fn telemetry(mut self, telemetry: Arc<dyn TelemetryStore>) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// Uses these keys.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Accepts other keys than those that wrote the database, and creates missing key files. Data that the earlier keys
    /// sealed or signed is lost. Without this, such a hive is not opened.
    #[must_use]
    pub fn accept_other_keys(mut self) -> Self {
        self.accepts_other_keys = true;
        self
    }

    /// Uses another clock and randomness.
    #[must_use]
    pub fn source(mut self, source: ClockAndRng) -> Self {
        self.source = source;
        self
    }

    /// Uses these settings.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Accepts this API key as that of an admin who is no user. It is never stored. A key of less than 32 characters or a
    /// placeholder is refused by [`build`](Self::build).
    #[must_use]
    pub fn admin_api_key(mut self, key: SecretString) -> Self {
        self.admin_api_key = Some(key);
        self
    }

    /// Reads the space of the database's disk in another way.
    #[cfg(test)]
    pub(crate) fn disk_space(mut self, disk_space: DiskSpaceMonitor) -> Self {
        self.disk_space = Some(disk_space);
        self
    }

    /// Opens storage and keys and starts the hive. Must be called within a tokio runtime.
    pub async fn build(self) -> Result<Hive> {
        let admin_key = self.admin_api_key.as_ref().map(ConfiguredKey::new).transpose()?;
        if let Some(dir) = &self.data_dir {
            store::private_files::create_dir(dir).map_err(|error| Error::Unavailable(error.into()))?;
        }
        let database = match self.database {
            Some(database) => Ok(database),
            None => Database::default_in(self.data_dir.as_deref()),
        };
        let (store, disk) = match (self.store, &database) {
            // Where a store from outside keeps its data is not known, so that there is no disk to probe.
            (Some(store), _) => (store, None),
            (None, Ok(database)) => (database.open().await?, database.dir().map(DatabaseDisk::in_dir)),
            (None, Err(error)) => return Err(Error::internal(error.clone())),
        };
        #[cfg(test)]
        let disk = match (disk, self.disk_space) {
            (Some(disk), Some(space)) => Some(disk.with_space(space)),
            (disk, _) => disk,
        };
        let key_dir = self.data_dir.as_ref().map(|dir| dir.join("keys"));
        let (fingerprints, keys) = match (self.keys, &key_dir) {
            (Some(keys), _) => (keys.fingerprints(), keys),
            (None, Some(dir)) => {
                // Before the keys are opened, which makes those that are missing.
                if !self.accepts_other_keys && store.hive_get().await?.is_some() {
                    key_check::expect_all(dir)?;
                }
                let keys = Keys::open(dir, &self.source).map_err(refused)?;
                (keys.fingerprints(), keys)
            }
            // Keys in memory are new with each start, so that there is nothing to compare.
            (None, None) => (Fingerprints::default(), Keys::generate(&self.source)),
        };
        let accepts_others = self.accepts_other_keys;
        let check = key_check::KeyFileCheck { fingerprints, dir: key_dir.as_deref(), accepts_others };
        let hive = check.identify(store.as_ref(), &self.source).await?;
        let is_new = hive.is_new;
        if accepts_others {
            sign_beginning_again(store.as_ref(), &keys.audit, &self.source).await?;
        }
        let telemetry = match self.telemetry {
            Some(telemetry) => telemetry,
            None => open_telemetry(&database.map_err(Error::internal)?, is_new).await?,
        };
        let (source, settings) = (self.source, self.settings);
        let parts = ServiceParts { hive, store, telemetry, keys, source, settings, disk, admin_key };
        let services = Services::build(parts, self.data_dir.as_deref()).await?;
        let housekeeping = services.start_housekeeping();
        Ok(Hive { inner: Arc::new(HiveInner { services, housekeeping, is_new }) })
    }
}

async fn open_telemetry(database: &Database, is_new: bool) -> Result<Arc<dyn TelemetryStore>> {
    if let Some(file) = database.telemetry_file().filter(|file| !is_new && !file.exists()) {
        warn!(path = %file.display(), "the telemetry database is missing, and a new one is created; commands, users and the audit log are not concerned");
    }
    Ok(database.open_telemetry().await?)
}

/// Keys that cannot be read may be on a full disk, which can pass. Damaged keys need an operator.
fn refused(error: KeysError) -> Error {
    match error {
        KeysError::Io { .. } => Error::Unavailable(error.into()),
        KeysError::Corrupt { .. } => Error::Corrupt(error.into()),
    }
}
