//! Who this satellite is: its data directory, and the keys in it.

mod file;
mod stored_keys;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hive_wire::{HiveId, SatelliteId, Timestamp};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tracing::{error, warn};

use crate::error::Error;
use crate::messages::with_causes;
use crate::storage::disk::{self, Disk};
use crate::storage::files;

use self::file::KeyFile;
use self::stored_keys::DatedKey;

pub(crate) use self::stored_keys::KeyRing;

/// How often the lock of the data directory is tried. An agent that was killed leaves it for a moment to a child that it
/// was just starting, until that child has become its program.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// The agent's directory, locked: two agents never share a key or a journal.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    disk: Arc<Disk>,
    _lock: Flock<File>,
}

impl DataDir {
    /// Makes, locks and tries the directory, before anything is spent that could not be kept afterwards. With a key in it
    /// nothing is spent, and a disk that takes nothing now is no reason not to start.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let refused = |source| Error::DataDir { path: path.to_owned(), source };
        files::create_private_dir(path).map_err(refused)?;
        let lock = files::private_file().write(true).truncate(false).open(path.join("agent.lock")).map_err(refused)?;
        let lock = lock_exclusively(lock).map_err(|errno| match errno {
            Errno::EWOULDBLOCK => Error::DataDirInUse(path.to_owned()),
            errno => refused(errno.into()),
        })?;
        let data = Self { path: path.to_owned(), disk: Arc::new(Disk::new(path)), _lock: lock };
        let probe = path.join("probe");
        match files::write_atomically(&probe, b"can this be kept?").and_then(|()| fs::remove_file(&probe)) {
            Err(error) if disk::is_disk_error(&error) && data.key_path().exists() => {
                let problem = data.disk.failed("its files", &error);
                error!("{problem}; until it can, no commands run and terminals open, so that somebody can make room");
            }
            tried => tried.map_err(refused)?,
        }
        Ok(data)
    }

    /// The disk it is on.
    pub(crate) fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// The path of a file in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn key_path(&self) -> PathBuf {
        self.join("backend.key.json")
    }

    /// Where a key file goes whose keys the hive rejected, all of them.
    fn rejected_path(&self) -> PathBuf {
        self.join("backend.key.rejected.json")
    }

    /// Reads what the satellite knows of itself.
    pub(crate) fn identity(&self) -> Result<Stored, Error> {
        if let Some(identity) = read(&self.key_path())? {
            return Ok(Stored::Usable(identity));
        }
        match read(&self.rejected_path()) {
            Ok(Some(identity)) => Ok(Stored::Rejected(identity)),
            Ok(None) => Ok(Stored::Nothing),
            Err(error) => {
                // The key that matters is the one that comes next.
                warn!(error = %with_causes(&error), "the keys that were set aside cannot be read");
                Ok(Stored::Nothing)
            }
        }
    }

    /// Keeps an identity.
    pub(crate) fn keep(&self, identity: &Identity) -> Result<(), Error> {
        let content = serde_json::to_vec_pretty(&KeyFile::from(identity)).map_err(io::Error::from);
        content
            .and_then(|content| files::write_atomically(&self.key_path(), &content))
            .map_err(|source| self.not_written(source))
    }

    /// Sets the key file aside: the hive rejected every key in it. Returns where it is now. An earlier file with other keys
    /// is kept under another name.
    pub(crate) fn set_aside(&self, identity: &Identity) -> Result<PathBuf, Error> {
        let (path, aside) = (self.key_path(), self.rejected_path());
        // A key that could not be written before, because the disk was full, may be known in memory alone.
        self.keep(identity).ok();
        let is_replaceable = match read(&aside) {
            Ok(earlier) => earlier.is_none_or(|earlier| identity.covers(&earlier)),
            Err(_) => false,
        };
        let moved = if is_replaceable { Ok(()) } else { fs::rename(&aside, self.free_name()) };
        moved
            .and_then(|()| fs::rename(&path, &aside))
            .and_then(|()| files::sync_parent(&aside))
            .map_err(|source| self.not_written(source))?;
        Ok(aside)
    }

    /// Puts the file that was set aside back: the hive accepts one of its keys again.
    pub(crate) fn put_back(&self, identity: &Identity) -> Result<(), Error> {
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

/// Reads a key file, if it is there.
fn read(path: &Path) -> Result<Option<Identity>, Error> {
    let unreadable = |source| Error::StoredKey { path: path.to_owned(), source };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    // The parser's own message could quote the key.
    let damaged = |what| unreadable(io::Error::new(io::ErrorKind::InvalidData, what));
    let file: KeyFile = serde_json::from_slice(&bytes).map_err(|_| damaged("it is not the JSON of a key"))?;
    if !file.is_as_written() {
        return Err(damaged("it was changed since it was written"));
    }
    Ok(Some(file.into()))
}

fn lock_exclusively(mut file: File) -> Result<Flock<File>, Errno> {
    for _ in 1..LOCK_ATTEMPTS {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((unlocked, Errno::EWOULDBLOCK)) => file = unlocked,
            settled => return settled.map_err(|(_, errno)| errno),
        }
        std::thread::sleep(LOCK_INTERVAL);
    }
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
}

/// What a data directory says about who the satellite is.
#[derive(Debug)]
pub(crate) enum Stored {
    /// It has never registered.
    Nothing,
    /// It has registered.
    Usable(Identity),
    /// It has registered, and later the hive rejected every key.
    Rejected(Identity),
}

/// A registered satellite.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) satellite_id: SatelliteId,
    pub(crate) satellite_name: String,
    /// Its hive; not known of files that older agents wrote, until the next handshake.
    pub(crate) hive_id: Option<HiveId>,
    pub(crate) keys: KeyRing,
    pub(crate) registered_at: Timestamp,
    pub(crate) last_verified: Option<Timestamp>,
}

impl Identity {
    /// Whether it is the same satellite of the same hive.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.satellite_id == other.satellite_id && self.hive_id == other.hive_id
    }

    /// Whether it says all that another one does.
    fn covers(&self, other: &Self) -> bool {
        self.is_same(other) && self.keys.holds_all_of(&other.keys)
    }
}

#[cfg(test)]
mod tests;
