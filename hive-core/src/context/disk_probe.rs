//! Checks that the disk of the database accepts writes.
//!
//! On a full disk, a database may still have room for a small change in an existing file, and fail with the next one.
//! So the disk is probed directly: a small file is written, synced and removed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hive_wire::Timestamp;

use crate::store::DiskError;
use crate::sync::lock;
use crate::{Error, Result};

/// Size of the probe file, in bytes: larger than a usual change.
const SIZE: usize = 64 * 1024;
/// How long a successful probe counts.
const FRESH: Duration = Duration::from_secs(5);

/// The directory of the database, and the time of the last successful probe.
#[derive(Debug)]
pub(crate) struct DiskProbe {
    dir: PathBuf,
    probes: AtomicU64,
    good_at: Mutex<Option<Timestamp>>,
}

impl DiskProbe {
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), probes: AtomicU64::new(0), good_at: Mutex::default() }
    }

    /// Checks that the disk accepts a write now, or did a few seconds ago.
    ///
    /// # Errors
    /// `Unavailable` with the fault of the disk.
    pub(crate) async fn check(&self, now: Timestamp) -> Result<()> {
        let good_at = *lock(&self.good_at);
        if good_at.is_some_and(|at| now.since(at) < FRESH) {
            return Ok(());
        }
        self.check_now(now).await
    }

    /// Checks that the disk accepts a write now.
    pub(crate) async fn check_now(&self, now: Timestamp) -> Result<()> {
        // Named by process and probe: concurrent probes must not remove each other's file.
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("disk-{}-{number}.probe", std::process::id()));
        // A failing disk may block for many seconds, and must not block the runtime.
        let tried = tokio::task::spawn_blocking(move || write_and_remove(&path)).await.map_err(Error::internal)?;
        // A failure is not kept: the disk may have room again at the next call.
        let is_good = tried.is_ok();
        *lock(&self.good_at) = is_good.then_some(now);
        tried.map_err(|error| Error::Unavailable(Box::new(DiskError::from(error))))
    }
}

fn write_and_remove(path: &Path) -> std::io::Result<()> {
    let written = std::fs::File::create(path).and_then(|mut file| {
        file.write_all(&vec![0; SIZE])?;
        file.sync_all()
    });
    // Also after a failed write: the file holds what there was room for.
    let removed = std::fs::remove_file(path);
    written.and(removed)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn concurrent_probes_do_not_disturb_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let probe = DiskProbe::in_dir(dir.path());
        for result in join_all((0..50).map(|_| probe.check_now(Timestamp::from_micros(0)))).await {
            result.unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn a_good_answer_counts_for_a_while_and_a_bad_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("data");
        let probe = DiskProbe::in_dir(&inside);
        let now = Timestamp::from_micros(0);
        assert!(probe.check(now).await.is_err(), "there is no such directory");
        std::fs::create_dir(&inside).unwrap();
        probe.check(now).await.unwrap();
        assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 0, "nothing is left behind");
        std::fs::remove_dir(&inside).unwrap();
        probe.check(now.plus(Duration::from_secs(4))).await.unwrap();
        let error = probe.check(now.plus(Duration::from_secs(5))).await.unwrap_err();
        assert_eq!(error.to_wire().details.unwrap()["disk"], "failing");
        assert!(probe.check(now.plus(Duration::from_secs(6))).await.is_err());
    }
}
