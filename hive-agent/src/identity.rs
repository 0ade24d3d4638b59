//! Who this satellite is: its data directory, and the key in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hive_wire::{SatelliteId, Timestamp};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::error;

use crate::checksum::Checksum;
use crate::disk::{self, Disk};
use crate::error::Error;
use crate::files;

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

    /// The stored identity, if the satellite has registered before.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, Error> {
        let path = self.key_path();
        let unreadable = |source| Error::StoredKey { path: path.clone(), source };
        let bytes = match fs::read(&path) {
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

    /// Keeps an identity.
    pub(crate) fn keep(&self, identity: &Identity) -> Result<(), Error> {
        let content = serde_json::to_vec_pretty(&KeyFile::from(identity)).map_err(io::Error::from);
        content
            .and_then(|content| files::write_atomically(&self.key_path(), &content))
            .map_err(|source| Error::DataDir { path: self.path.clone(), source })
    }

    /// Forgets the identity: the server answered 401 to its key.
    pub(crate) fn forget_identity(&self) -> Result<(), Error> {
        let path = self.key_path();
        fs::remove_file(&path)
            .and_then(|()| files::sync_parent(&path))
            .map_err(|source| Error::DataDir { path: self.path.clone(), source })
    }
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

/// A registered satellite.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) satellite_id: SatelliteId,
    pub(crate) satellite_name: String,
    pub(crate) api_key: SecretString,
    pub(crate) registered_at: Timestamp,
    pub(crate) last_verified: Option<Timestamp>,
}

/// `backend.key.json`. Not `Debug`: it holds the key.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    api_key: String,
    satellite_id: SatelliteId,
    satellite_name: String,
    registered_at: Timestamp,
    #[serde(default)]
    last_verified: Option<Timestamp>,
    /// Over all the others. Older agents wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

impl KeyFile {
    fn sum(&self) -> Checksum {
        let Self { api_key, satellite_id, satellite_name, registered_at, last_verified, checksum: _ } = self;
        let all = json!([api_key, satellite_id, satellite_name, registered_at, last_verified]);
        Checksum::of(all.to_string().as_bytes())
    }

    fn is_as_written(&self) -> bool {
        self.checksum.as_ref().is_none_or(|written| self.sum().is(written.as_bytes()))
    }
}

impl From<KeyFile> for Identity {
    fn from(file: KeyFile) -> Self {
        let KeyFile { api_key, satellite_id, satellite_name, registered_at, last_verified, checksum: _ } = file;
        Self { satellite_id, satellite_name, api_key: api_key.into(), registered_at, last_verified }
    }
}

impl From<&Identity> for KeyFile {
    fn from(identity: &Identity) -> Self {
        let mut file = Self {
            api_key: identity.api_key.expose_secret().to_owned(),
            satellite_id: identity.satellite_id,
            satellite_name: identity.satellite_name.clone(),
            registered_at: identity.registered_at,
            last_verified: identity.last_verified,
            checksum: None,
        };
        file.checksum = Some(file.sum().to_string());
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use hive_wire::id::Seed;
    use std::os::unix::fs::PermissionsExt as _;

    fn identity() -> Identity {
        Identity {
            satellite_id: SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] }),
            satellite_name: "web-server-01".into(),
            api_key: "hunter2".into(),
            registered_at: clock::now(),
            last_verified: None,
        }
    }

    #[test]
    fn an_identity_is_kept_privately_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("deep/down")).unwrap();
        assert!(data.identity().unwrap().is_none());
        data.keep(&identity()).unwrap();
        let stored = data.identity().unwrap().unwrap();
        assert_eq!(stored.api_key.expose_secret(), "hunter2");
        assert_eq!(stored.satellite_id, identity().satellite_id);
        assert_eq!(fs::metadata(data.key_path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{stored:?}").contains("hunter2"));
        data.forget_identity().unwrap();
        assert!(data.identity().unwrap().is_none());
    }

    #[test]
    fn two_agents_do_not_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(Error::DataDirInUse(_))));
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_that_outlives_its_process_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(LOCK_INTERVAL * 3);
                drop(held);
            });
            DataDir::open(dir.path()).unwrap();
        });
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(DataDir::open(&file.join("data")), Err(Error::DataDir { .. })));
        assert!(matches!(DataDir::open(Path::new("/proc/hive")), Err(Error::DataDir { .. })));
    }

    #[test]
    fn a_broken_key_file_is_kept_and_told_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::write(data.key_path(), r#"{"api_key":"hunter2","satellite_id":"hunter2"}"#).unwrap();
        let error = data.identity().unwrap_err();
        assert!(!crate::messages::with_causes(&error).contains("hunter2"));
        assert!(data.key_path().exists());
    }

    #[test]
    fn a_key_that_was_changed_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        data.keep(&identity()).unwrap();
        let content = fs::read_to_string(data.key_path()).unwrap();
        for changed in ["hunter3", "iunter2"] {
            fs::write(data.key_path(), content.replace("hunter2", changed)).unwrap();
            assert!(matches!(data.identity(), Err(Error::StoredKey { .. })));
        }
        let without_checksum: Vec<&str> = content.lines().filter(|line| !line.contains("checksum")).collect();
        fs::write(data.key_path(), without_checksum.join("\n").replace("null,", "null")).unwrap();
        assert_eq!(data.identity().unwrap().unwrap().api_key.expose_secret(), "hunter2", "as an older agent left it");
    }
}
