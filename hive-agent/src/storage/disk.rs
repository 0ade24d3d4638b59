//! The health of the data directory's disk, and the messages about it.
//!
//! An agent with a full disk continues as far as it can. It runs no command that it cannot record in the journal, but
//! sessions open, so that somebody can free space.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use crate::storage::files;
use crate::system_error;

/// A disk with fewer free bytes is reported as full.
const MIN_FREE: f64 = 64.0 * 1024.0;
/// The size of the probe file: more than fits into the rest of a block.
const PROBE: usize = 8 * 1024;

/// The health of the data directory's disk.
#[derive(Debug)]
pub(crate) struct DiskHealth {
    dir: PathBuf,
    /// Why the last write failed.
    problem: Mutex<Option<String>>,
}

impl DiskHealth {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), problem: Mutex::default() }
    }

    /// Records that something could not be written. Returns the message, which names the directory.
    pub(crate) fn record_failure(&self, what: &str, error: &io::Error) -> String {
        let message =
            format!("the satellite cannot write {what} in {}: {}", self.dir.display(), system_error::text(error));
        *self.last_failure() = Some(message.clone());
        message
    }

    /// The current problem. After a failure, a probe file is written to find out whether the disk works again.
    /// It reads and writes the disk, so it belongs on [`DiskThread`](super::disk_thread::DiskThread).
    pub(crate) fn problem(&self) -> Option<String> {
        let known = self.last_failure().clone();
        // Tested only after a failure: a probe on every heartbeat would wear out the disk. The lock is not held
        // meanwhile, because a disk that hangs must not block whoever reports the next failure.
        if known.is_some() && self.probe().is_ok() {
            // A failure that was recorded meanwhile stays.
            self.last_failure().take_if(|problem| Some(&*problem) == known.as_ref());
        }
        let problem = self.last_failure().clone();
        problem.or_else(|| self.is_nearly_full().then(|| format!("no space is left in {}", self.dir.display())))
    }

    /// The problem of a disk that does not answer in time.
    pub(crate) fn not_responding(&self) -> String {
        format!("the disk of {} does not respond", self.dir.display())
    }

    fn last_failure(&self) -> MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.dir.join("probe");
        let written = files::private_file()
            .write(true)
            .truncate(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&[0; PROBE]));
        // Removed even after a failure: a full disk needs the space.
        fs::remove_file(&path).ok();
        written
    }

    fn is_nearly_full(&self) -> bool {
        let Ok(disk) = nix::sys::statvfs::statvfs(&self.dir) else { return false };
        let (total, free) = (disk.blocks() as f64, disk.blocks_available() as f64);
        total > 0.0 && free * disk.fragment_size() as f64 <= MIN_FREE
    }
}

/// Whether an error is caused by the disk: it is full, fails, or was remounted read-only.
pub(crate) fn is_disk_error(error: &io::Error) -> bool {
    let is_kind =
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem);
    // `ErrorKind` has no variant for EIO.
    is_kind || error.raw_os_error() == Some(Errno::EIO as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_until_the_disk_works_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let disk = DiskHealth::new(&path);
        assert_eq!(disk.problem(), None);
        let message = disk.record_failure("its journal", &ErrorKind::StorageFull.into());
        assert!(message.contains("its journal") && message.contains(path.to_str().unwrap()), "{message}");
        assert_eq!(disk.problem(), Some(message), "there is no such directory");
        fs::create_dir(&path).unwrap();
        assert_eq!(disk.problem(), None);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn a_full_disk_is_no_wrong_setting() {
        assert!(is_disk_error(&Errno::ENOSPC.into()) && is_disk_error(&Errno::EDQUOT.into()));
        assert!(is_disk_error(&Errno::EROFS.into()) && is_disk_error(&Errno::EIO.into()));
        assert!(!is_disk_error(&Errno::EACCES.into()) && !is_disk_error(&Errno::ENOTDIR.into()));
    }
}
