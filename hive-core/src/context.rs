//! State that all services of a hive share: time and randomness, settings, background tasks and their shutdown.

mod disk_probe;
mod disk_space;

use std::path::Path;
use std::sync::Arc;

use hive_wire::id::Seed;
use hive_wire::{HiveId, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::ClockAndRng;
use crate::retry::RetryWindow;
use crate::settings::Settings;
use crate::unreadable::UnreadableRows;
use crate::{Error, Result};

pub(crate) use disk_probe::DiskProbe;
pub use disk_space::DiskLevel;
#[cfg(test)]
pub(crate) use disk_space::DiskSpace;
pub(crate) use disk_space::DiskSpaceMonitor;

/// The disk of a database that is a file.
pub(crate) struct DatabaseDisk {
    probe: DiskProbe,
    space: DiskSpaceMonitor,
}

impl DatabaseDisk {
    /// The disk of this directory.
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { probe: DiskProbe::in_dir(dir), space: DiskSpaceMonitor::in_dir(dir) }
    }

    /// The same, with other readings of its space.
    #[cfg(test)]
    pub(crate) fn with_space(self, space: DiskSpaceMonitor) -> Self {
        Self { space, ..self }
    }
}

/// The shared context. It is cheap to clone. It holds no service, so that a task with a context does not keep the hive alive.
#[derive(Clone)]
pub(crate) struct ServiceContext {
    shared: Arc<ContextState>,
}

struct ContextState {
    hive_id: HiveId,
    source: ClockAndRng,
    started_at: Timestamp,
    settings: Settings,
    /// The disk of the database, if the database is a file.
    disk: Option<DatabaseDisk>,
    unreadable_rows: UnreadableRows,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl ServiceContext {
    /// The context of a hive that starts now.
    pub(crate) fn new(hive_id: HiveId, source: ClockAndRng, settings: Settings, disk: Option<DatabaseDisk>) -> Self {
        let started_at = source.steady();
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let unreadable_rows = UnreadableRows::default();
        let shared = ContextState { hive_id, source, started_at, settings, disk, unreadable_rows, tasks, shutdown };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the id of the hive.
    pub(crate) fn hive_id(&self) -> HiveId {
        self.shared.hive_id
    }

    /// Returns the settings.
    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Returns the clock and the randomness.
    pub(crate) fn source(&self) -> &ClockAndRng {
        &self.shared.source
    }

    /// Returns the time of day.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.source.now()
    }

    /// Returns the steady time, which decides about deadlines. See [`Clock::steady`](crate::clock::Clock::steady).
    pub(crate) fn steady(&self) -> Timestamp {
        self.shared.source.steady()
    }

    /// Returns when the hive was started, by the steady time.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.shared.started_at
    }

    /// Returns the seed of a new id.
    pub(crate) fn seed(&self) -> Seed {
        self.shared.source.seed()
    }

    /// Returns the rows of the store that could not be read.
    pub(crate) fn unreadable_rows(&self) -> &UnreadableRows {
        &self.shared.unreadable_rows
    }

    /// Starts a task that the hive's shutdown waits for.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.shared.tasks.spawn(task)
    }

    /// Starts a task that the hive's shutdown cancels.
    pub(crate) fn spawn_until_shutdown(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(self.shared.shutdown.clone().run_until_cancelled_owned(task));
    }

    /// Runs a change to its end in a task of its own. A caller that is cancelled, such as an HTTP handler whose client hung
    /// up, does not leave the change half done.
    pub(crate) async fn run_to_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        // A join fails only after a panic: nothing aborts the task, and the shutdown waits for it.
        self.spawn(change).await.map_err(Error::internal)?
    }

    /// Returns the token that the hive's shutdown cancels.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shared.shutdown
    }

    /// Waits for the remaining tasks. They may still spawn new ones, which are waited for as well.
    pub(crate) async fn wait_for_tasks(&self) {
        // `wait` returns only on a closed tracker. A closed tracker still accepts tasks.
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Begins a window in which an operation for a link is tried again while the storage is not reachable. It is half of the
    /// silence that either side of a link tolerates. What the satellite reports meanwhile waits behind it.
    pub(crate) fn retry_window(&self) -> RetryWindow {
        RetryWindow::new(self.settings().heartbeat_timeout / 2, self.shared.shutdown.clone())
    }

    /// Checks that the disk accepted a write now or a few seconds ago.
    ///
    /// # Errors
    /// `Unavailable` that states the problem of the disk.
    pub(crate) async fn check_disk_recently(&self) -> Result<()> {
        match &self.shared.disk {
            Some(disk) => disk.probe.check(self.steady()).await,
            None => Ok(()),
        }
    }

    /// Checks that the disk accepts a write now, before an operation whose outcome has to be stored.
    ///
    /// # Errors
    /// As [`check_disk_recently`](Self::check_disk_recently).
    pub(crate) async fn check_disk(&self) -> Result<()> {
        match &self.shared.disk {
            Some(disk) => disk.probe.check_now(self.steady()).await,
            None => Ok(()),
        }
    }

    /// Takes a reading of the space of the disk.
    pub(crate) async fn observe_disk_space(&self) {
        if let Some(disk) = &self.shared.disk {
            disk.space.observe().await;
        }
    }

    /// Returns how much space the disk had when it was last read.
    pub(crate) fn disk_level(&self) -> DiskLevel {
        self.shared.disk.as_ref().map(|disk| disk.space.level()).unwrap_or_default()
    }

    /// Checks that the disk has space for new work.
    ///
    /// # Errors
    /// `Unavailable` that states the problem of the disk.
    pub(crate) async fn check_disk_space(&self) -> Result<()> {
        match &self.shared.disk {
            Some(disk) => disk.space.check().await,
            None => Ok(()),
        }
    }
}
