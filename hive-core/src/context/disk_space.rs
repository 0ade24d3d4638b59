//! Watches the free space of the database's disk.
//!
//! A disk that fills up is reported early. Before it is full, new work is refused while there is still room for the results of
//! the work that is under way.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing::{info, warn};

use crate::store::{DiskError, DiskFault};
use crate::sync::lock;
use crate::{Error, Result};

/// Free space below which a large disk is critical; a smaller one below 2 %.
const MOST_RESERVED: u64 = 1024 * 1024 * 1024;

/// Reads the space of the disk of a directory. Tests replace it.
pub(crate) type SpaceReader = Box<dyn Fn(&Path) -> std::io::Result<DiskSpace> + Send + Sync>;

/// How much space the disk of the database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DiskLevel {
    /// There is enough, or it is not known.
    #[default]
    Enough,
    /// Less than 10 % is free.
    Low,
    /// Less than 2 % or 1 GiB is free, whichever is less. New commands and jobs are refused.
    Critical,
}

impl DiskLevel {
    /// The stable name, as the health endpoint shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Low => "low",
            Self::Critical => "critical",
        }
    }
}

/// The space of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskSpace {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

/// Decides about the level of a disk, without I/O. A level is left only when there is a quarter more space than at its limit (a
/// fifth for [`DiskLevel::Low`]), so that it does not change with every row.
#[derive(Debug, Default)]
struct DiskWatch {
    level: DiskLevel,
}

impl DiskWatch {
    /// Takes a reading. Returns the new level if it changed.
    fn observe(&mut self, DiskSpace { free, total }: DiskSpace) -> Option<DiskLevel> {
        let reserved = (total / 50).min(MOST_RESERVED);
        let (low, low_until) = (total / 10, total / 100 * 12);
        let is_critical = free < reserved || self.level == DiskLevel::Critical && free < reserved + reserved / 4;
        let is_low = free < low || self.level != DiskLevel::Enough && free < low_until;
        let level = match (is_critical, is_low) {
            (true, _) => DiskLevel::Critical,
            (false, true) => DiskLevel::Low,
            (false, false) => DiskLevel::Enough,
        };
        let has_changed = level != self.level;
        self.level = level;
        has_changed.then_some(level)
    }
}

/// The last reading of the disk of a directory.
pub(crate) struct DiskSpaceMonitor {
    dir: PathBuf,
    read: std::sync::Arc<SpaceReader>,
    watch: Mutex<DiskWatch>,
}

impl DiskSpaceMonitor {
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self::with_reader(dir, Box::new(read_space))
    }

    pub(crate) fn with_reader(dir: &Path, read: SpaceReader) -> Self {
        Self { dir: dir.to_owned(), read: std::sync::Arc::new(read), watch: Mutex::default() }
    }

    pub(crate) fn level(&self) -> DiskLevel {
        lock(&self.watch).level
    }

    /// Takes a reading. A change of the level is logged. A disk whose space cannot be read keeps its level.
    pub(crate) async fn observe(&self) {
        let (dir, read) = (self.dir.clone(), self.read.clone());
        // A failing disk may block for many seconds, and must not block the runtime.
        let Ok(Ok(space)) = tokio::task::spawn_blocking(move || read(&dir)).await else {
            return;
        };
        let changed = lock(&self.watch).observe(space);
        let (free_bytes, total_bytes, dir) = (space.free, space.total, self.dir.display());
        match changed {
            None => {}
            Some(DiskLevel::Enough) => {
                info!(free_bytes, total_bytes, %dir, "the disk of the hive's database has space again");
            }
            Some(DiskLevel::Low) => {
                warn!(free_bytes, total_bytes, %dir, "less than 10 % of the disk of the hive's database is free");
            }
            Some(DiskLevel::Critical) => {
                warn!(
                    free_bytes, total_bytes, %dir,
                    "the disk of the hive's database is nearly full, and new commands are refused"
                );
            }
        }
    }

    /// Checks that there is space for new work.
    ///
    /// # Errors
    /// `Unavailable` at the level [`DiskLevel::Critical`].
    pub(crate) async fn check(&self) -> Result<()> {
        if self.level() != DiskLevel::Critical {
            return Ok(());
        }
        // There may be space again, before the next regular reading.
        self.observe().await;
        if self.level() != DiskLevel::Critical {
            return Ok(());
        }
        let reason = format!("too little space is free in {}", self.dir.display());
        Err(Error::Unavailable(Box::new(DiskError::new(DiskFault::NearlyFull, reason))))
    }
}

#[cfg(unix)]
fn read_space(dir: &Path) -> std::io::Result<DiskSpace> {
    let stat = rustix::fs::statvfs(dir)?;
    // What is available to everybody: a part may be reserved for root.
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(DiskSpace { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
}

#[cfg(not(unix))]
fn read_space(_dir: &Path) -> std::io::Result<DiskSpace> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const MIB: u64 = 1024 * 1024;
    const GIB: u64 = 1024 * MIB;

    /// Reads a disk of `total` bytes with each amount of free bytes in turn, and compares the levels.
    fn check(total: u64, readings: &[(u64, DiskLevel)]) {
        let mut watch = DiskWatch::default();
        for (free, expected) in readings {
            let before = watch.level;
            let changed = watch.observe(DiskSpace { free: *free, total });
            assert_eq!(watch.level, *expected, "{free} of {total} bytes, after {before:?}");
            assert_eq!(changed, (before != *expected).then_some(*expected));
        }
    }

    #[test]
    fn a_disk_is_low_below_ten_percent_and_has_enough_again_at_twelve() {
        use DiskLevel::{Enough, Low};
        let percent = GIB / 100;
        check(
            GIB,
            &[
                (50 * percent, Enough),
                (11 * percent, Enough),
                (10 * percent, Low),
                (11 * percent, Low),
                (9 * percent, Low),
                (12 * percent, Enough),
                (11 * percent, Enough),
            ],
        );
    }

    #[test]
    fn a_small_disk_is_critical_below_two_percent_and_a_large_one_below_one_gibibyte() {
        use DiskLevel::{Critical, Enough, Low};
        check(100 * MIB, &[(2 * MIB, Low), (2 * MIB - 1, Critical), (2 * MIB + 1, Critical), (3 * MIB, Low)]);
        // Two percent of it are 20 GiB.
        check(1000 * GIB, &[(19 * GIB, Low), (GIB, Low), (GIB - 1, Critical), (GIB, Critical), (2 * GIB, Low)]);
        check(1000 * GIB, &[(0, Critical), (500 * GIB, Enough)]);
    }

    #[test]
    fn a_disk_of_unknown_size_has_enough() {
        check(0, &[(0, DiskLevel::Enough)]);
    }

    #[tokio::test]
    async fn new_work_is_refused_until_there_is_space() {
        let free = Arc::new(AtomicU64::new(50));
        let read = {
            let free = free.clone();
            move |_: &Path| Ok(DiskSpace { free: free.load(Ordering::SeqCst), total: 100 })
        };
        let monitor = DiskSpaceMonitor::with_reader(Path::new("/data"), Box::new(read));
        free.store(1, Ordering::SeqCst);
        monitor.check().await.unwrap();
        assert_eq!(monitor.level(), DiskLevel::Enough, "only a regular reading begins to refuse");
        monitor.observe().await;
        let error = monitor.check().await.unwrap_err().to_wire();
        assert_eq!(
            (error.code.as_str(), error.details.unwrap()["disk"].as_str()),
            ("UNAVAILABLE", Some("nearly_full"))
        );
        assert!(error.message.starts_with("the disk of the hive's database is nearly full"), "{}", error.message);
        free.store(50, Ordering::SeqCst);
        monitor.check().await.unwrap();
        assert_eq!(monitor.level(), DiskLevel::Enough);
    }

    #[tokio::test]
    async fn the_disk_of_a_directory_has_a_size() {
        let dir = tempfile::tempdir().unwrap();
        let monitor = DiskSpaceMonitor::in_dir(dir.path());
        let space = read_space(dir.path()).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
        monitor.observe().await;
    }
}
