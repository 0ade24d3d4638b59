//! Rows that cannot be read: housekeeping passes over them, and handles the others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hive_wire::api::{CommandStatus, ExecCommand, JobStatus, OutputEncoding, Target};
use hive_wire::{CommandId, JobId, SatelliteId};

use super::{NAME, connect, register};
use crate::clock::{Clock, ClockAndRng, ManualClock, SystemClock};
use crate::commands::ExecOptions;
use crate::hive::{Hive, Settings};
use crate::jobs::JobOptions;
use crate::keys::Keys;
use crate::store::{CommandRow, JobRow, Store, StoreError, StoreLayer, StoreResult, sqlite};
use crate::sync::lock;

/// A store in which some rows cannot be read.
struct CorruptStore {
    below: Arc<dyn Store>,
    /// Where the keys of its hive are.
    keys: tempfile::TempDir,
    command: Mutex<Option<CommandId>>,
    job: Mutex<Option<JobId>>,
}

impl CorruptStore {
    async fn new() -> Arc<Self> {
        let below = Arc::new(sqlite::in_memory().await.unwrap());
        let keys = tempfile::tempdir().unwrap();
        Arc::new(Self { below, keys, command: Mutex::default(), job: Mutex::default() })
    }
}

#[async_trait]
impl StoreLayer for CorruptStore {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn command_get(&self, id: CommandId) -> StoreResult<Option<CommandRow>> {
        if *lock(&self.command) == Some(id) {
            return Err(StoreError::Corrupt("column actor".into()));
        }
        self.below.command_get(id).await
    }

    async fn job_get(&self, id: JobId) -> StoreResult<Option<JobRow>> {
        if *lock(&self.job) == Some(id) {
            return Err(StoreError::Corrupt("column actor".into()));
        }
        self.below.job_get(id).await
    }
}

/// A hive over this store whose concerns have their turn all the time.
async fn hive_over(store: Arc<CorruptStore>, source: ClockAndRng) -> Hive {
    let settings = Settings { sweep_interval: Duration::from_millis(10), ..Settings::default() };
    let keys = Keys::open(store.keys.path(), &source).unwrap();
    Hive::builder().store(store).keys(keys).source(source).settings(settings).build().await.unwrap()
}

async fn submit(hive: &Hive, satellite: SatelliteId) -> CommandId {
    let commands = hive.as_system().commands();
    commands.submit(satellite, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap()
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it comes true");
}

#[tokio::test]
async fn a_command_that_cannot_be_read_does_not_keep_others_from_expiring() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let store = CorruptStore::new().await;
    let source = ClockAndRng { clock: clock.clone(), ..ClockAndRng::default() };
    let hive = hive_over(store.clone(), source).await;
    let registered = register(&hive, NAME).await;
    drop(connect(&hive, &registered, "journal-1").await);
    let commands = hive.as_system().commands();
    let submit = async || {
        let command = ExecCommand { expires_in_seconds: Some(5), ..ExecCommand::shell("true") };
        commands.submit(registered.id, command, ExecOptions::default()).await.unwrap()
    };
    let (damaged, good) = (submit().await, submit().await);
    *lock(&store.command) = Some(damaged);
    clock.advance(Duration::from_secs(6));
    let status = async |id| commands.get(id, OutputEncoding::Lossy).await.unwrap().unwrap().status;
    until(async || status(good).await == CommandStatus::Expired).await;
    until(async || hive.housekeeping_counts().unreadable_rows == 1).await;
    *lock(&store.command) = None;
    until(async || status(damaged).await == CommandStatus::Expired).await;
    until(async || hive.housekeeping_counts().unreadable_rows == 0).await;
    assert_eq!(hive.housekeeping_counts().failures, 0, "it concerns the row alone");
}

#[tokio::test]
async fn a_command_in_flight_that_cannot_be_read_leaves_the_link_for_the_others() {
    let store = CorruptStore::new().await;
    let before = hive_over(store.clone(), ClockAndRng::default()).await;
    let registered = register(&before, NAME).await;
    let mut satellite = connect(&before, &registered, "journal-1").await;
    let (damaged, good) = (submit(&before, registered.id).await, submit(&before, registered.id).await);
    assert_eq!([satellite.command().await.id, satellite.command().await.id], [damaged, good]);
    drop(satellite);
    before.shutdown().await;

    *lock(&store.command) = Some(damaged);
    let hive = hive_over(store.clone(), ClockAndRng::default()).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    assert_eq!(satellite.command().await.id, good);
    assert_eq!(hive.housekeeping_counts().unreadable_rows, 1);
    // The result of the damaged one is not acknowledged, and the link stays.
    satellite.finish(damaged, CommandStatus::Succeeded, 0, 0).await;
    satellite.finish(good, CommandStatus::Succeeded, 0, 0).await;
    assert_eq!(satellite.acknowledged().await, good);
    let third = submit(&hive, registered.id).await;
    assert_eq!(satellite.command().await.id, third);
    drop(satellite);

    *lock(&store.command) = None;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    assert_eq!([satellite.command().await.id, satellite.command().await.id], [damaged, third]);
    satellite.finish(damaged, CommandStatus::Succeeded, 0, 0).await;
    assert_eq!(satellite.acknowledged().await, damaged);
    assert_eq!(hive.housekeeping_counts().unreadable_rows, 0);
}

#[tokio::test]
async fn a_queued_command_that_cannot_be_read_does_not_keep_others_from_the_link() {
    let store = CorruptStore::new().await;
    let hive = hive_over(store.clone(), ClockAndRng::default()).await;
    let registered = register(&hive, NAME).await;
    drop(connect(&hive, &registered, "journal-1").await);
    let (damaged, good) = (submit(&hive, registered.id).await, submit(&hive, registered.id).await);
    *lock(&store.command) = Some(damaged);
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    assert_eq!(satellite.command().await.id, good);
    satellite.finish(good, CommandStatus::Succeeded, 0, 0).await;
    assert_eq!(satellite.acknowledged().await, good);
    assert_eq!(hive.housekeeping_counts().unreadable_rows, 1);
}

#[tokio::test]
async fn a_job_that_cannot_be_read_does_not_keep_others_from_going_on() {
    let store = CorruptStore::new().await;
    let before = hive_over(store.clone(), ClockAndRng::default()).await;
    let registered = register(&before, NAME).await;
    let satellite = connect(&before, &registered, "journal-1").await;
    let jobs = before.as_system().jobs();
    let submit =
        async || jobs.submit(vec![Target::All], ExecCommand::shell("true"), JobOptions::default()).await.unwrap().id;
    let (damaged, good) = (submit().await, submit().await);
    drop(satellite);
    before.shutdown().await;

    *lock(&store.job) = Some(damaged);
    let after = hive_over(store.clone(), ClockAndRng::default()).await;
    until(async || after.housekeeping_counts().unreadable_rows == 1).await;
    let registered = after.as_system().satellites().get(registered.id).await.unwrap().unwrap();
    after.as_system().satellites().remove(registered.id).await.unwrap();
    let status = async |id| after.as_system().jobs().get(id).await.unwrap().unwrap().status;
    until(async || status(good).await == JobStatus::Failed).await;
    *lock(&store.job) = None;
    until(async || status(damaged).await == JobStatus::Failed).await;
    until(async || after.housekeeping_counts().unreadable_rows == 0).await;
}
