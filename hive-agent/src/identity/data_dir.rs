//! The data directory, and the key files in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hive_wire::escape::error_chain;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tracing::{error, warn};

use super::file::KeyFile;
use super::{AgentIdentity, StoredIdentity};
use crate::error::Error;
use crate::storage::disk::{self, DiskHealth};
use crate::storage::files;

/// Attempts to lock the data directory. A child that an agent was starting when it was killed holds the lock until it
/// has executed its program.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// The data directory, locked, so that two agents never share a key or a journal.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    disk: Arc<DiskHealth>,
    _lock: Flock<File>,
}

impl DataDir {
    /// Creates, locks and tests the directory, before a token is used whose key could not be stored. With a stored key
    /// no token is needed, so a full disk does not prevent the start.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::DataDir { path: path.to_owned(), source };
        files::create_private_dir(path).map_err(unusable)?;
        // The lock file stays: removing it would let two agents lock different files of the same name.
        let lock = files::private_file().write(true).truncate(false).open(path.join("agent.lock")).map_err(unusable)?;
        let lock = lock_exclusively(lock).map_err(|errno| match errno {
            Errno::EWOULDBLOCK => Error::DataDirInUse(path.to_owned()),
            errno => unusable(errno.into()),
        })?;
        let data = Self { path: path.to_owned(), disk: Arc::new(DiskHealth::new(path)), _lock: lock };
        // A registration token can be used once. It must not be used if the key cannot be stored afterwards.
        let probe = path.join("probe");
        match files::write_atomically(&probe, b"can this be kept?").and_then(|()| fs::remove_file(&probe)) {
            Err(error) if disk::is_disk_error(&error) && data.key_path().exists() => {
                let problem = data.disk.record_failure("its files", &error);
                error!("{problem}; until it can, no commands run; sessions open, so that somebody can free space");
            }
            written => written.map_err(unusable)?,
        }
        Ok(data)
    }

    /// The health of its disk.
    pub(crate) fn disk(&self) -> &Arc<DiskHealth> {
        &self.disk
    }

    /// The path of a file in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn key_path(&self) -> PathBuf {
        self.join("backend.key.json")
    }

    /// The file for keys that the hive has rejected.
    fn rejected_path(&self) -> PathBuf {
        self.join("backend.key.rejected.json")
    }

    /// Reads the identity.
    pub(crate) fn identity(&self) -> Result<StoredIdentity, Error> {
        if let Some(identity) = read(&self.key_path())? {
            return Ok(StoredIdentity::Usable(identity));
        }
        match read(&self.rejected_path()) {
            Ok(Some(identity)) => Ok(StoredIdentity::Rejected(identity)),
            Ok(None) => Ok(StoredIdentity::Unregistered),
            Err(error) => {
                // It is not needed: the satellite registers again and gets a new key.
                warn!("the keys that were set aside cannot be read: {}", error_chain(&error));
                Ok(StoredIdentity::Unregistered)
            }
        }
    }

    /// Writes the identity.
    pub(crate) fn keep(&self, identity: &AgentIdentity) -> Result<(), Error> {
        let content = serde_json::to_vec_pretty(&KeyFile::from(identity)).map_err(io::Error::from);
        content
            .and_then(|content| files::write_atomically(&self.key_path(), &content))
            .map_err(|source| self.not_written(source))
    }

    /// Renames the key file after the hive has rejected every key in it. Returns the new path. An earlier file with
    /// other keys is renamed as well, and never overwritten.
    pub(crate) fn set_aside(&self, identity: &AgentIdentity) -> Result<PathBuf, Error> {
        let (path, aside) = (self.key_path(), self.rejected_path());
        // A new key may be in memory only, if the disk was full when it arrived.
        self.keep(identity).ok();
        // A file that cannot be read may still hold keys that somebody can restore by hand.
        let is_replaceable = match read(&aside) {
            Ok(earlier) => earlier.is_none_or(|earlier| identity.covers(&earlier)),
            Err(_) => false,
        };
        let moved = if is_replaceable { Ok(()) } else { fs::rename(&aside, self.free_name()) };
        moved
            .and_then(|()| fs::rename(&path, &aside))
            // Without the sync, a power loss could bring the rejected file back under its old name.
            .and_then(|()| files::sync_parent(&aside))
            .map_err(|source| self.not_written(source))?;
        Ok(aside)
    }

    /// Renames the file back: the hive accepts one of its keys again.
    pub(crate) fn put_back(&self, identity: &AgentIdentity) -> Result<(), Error> {
        fs::rename(self.rejected_path(), self.key_path()).map_err(|source| self.not_written(source))?;
        self.keep(identity)
    }

    fn free_name(&self) -> PathBuf {
        let names = (2..).map(|number| self.join(&format!("backend.key.rejected.{number}.json")));
        names.into_iter().find(|path| !path.exists()).expect("there are more numbers than files")
    }

    fn not_written(&self, source: io::Error) -> Error {
        Error::DataDir { path: self.path.clone(), source }
    }
}

/// Reads a key file, if it exists.
fn read(path: &Path) -> Result<Option<AgentIdentity>, Error> {
    let unreadable = |source| Error::StoredKey { path: path.to_owned(), source };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    // The parser's own message could contain the key.
    let damaged = |what| unreadable(io::Error::new(io::ErrorKind::InvalidData, what));
    let file: KeyFile = serde_json::from_slice(&bytes).map_err(|_| damaged("it is not the JSON of a key"))?;
    if !file.has_valid_checksum() {
        return Err(damaged("it was changed since it was written"));
    }
    Ok(Some(file.into()))
}

fn lock_exclusively(mut file: File) -> Result<Flock<File>, Errno> {
    for _ in 1..LOCK_ATTEMPTS {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((unlocked, Errno::EWOULDBLOCK)) => file = unlocked,
            result => return result.map_err(|(_, errno)| errno),
        }
        // Blocks its thread for half a second at most, and only after an agent was killed.
        std::thread::sleep(LOCK_INTERVAL);
    }
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
}

#[cfg(test)]
mod tests;
