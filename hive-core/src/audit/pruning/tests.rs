use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hive_wire::api::{AuditExportLine, AuditTarget, PageRequest};
use serde_json::json;

use super::*;
use crate::Hive;
use crate::audit::verify_export;
use crate::clock::{ManualClock, SystemEntropy};
use crate::settings::Settings;
use crate::store::{Database, StoreLayer, StoreResult};

const DAY: Duration = Duration::from_hours(24);

/// A hive whose clock is moved by hand, and which prunes only when a test says so.
struct PruningHive {
    hive: Hive,
}

impl PruningHive {
    async fn start(dir: &Path, clock: &Arc<ManualClock>) -> Self {
        Self::start_on(dir, clock, None).await.unwrap()
    }

    async fn start_on(dir: &Path, clock: &Arc<ManualClock>, store: Option<Arc<dyn Store>>) -> Result<Self> {
        let source = ClockAndRng { clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
        // Not by housekeeping.
        let settings = Settings::default().retain_audit(None);
        let builder = Hive::builder().data_dir(dir).source(source).settings(settings);
        let builder = match store {
            Some(store) => builder.store(store),
            None => builder,
        };
        Ok(Self { hive: builder.build().await? })
    }

    async fn append(&self, count: u64) {
        let target = || AuditTarget { kind: "thing".into(), id: "x".into() };
        for _ in 0..count {
            self.hive.as_system().audit().log("thing.touch".into(), target(), json!({})).await.unwrap();
        }
    }

    /// Prunes what is older than 90 days. Returns how many records were deleted.
    async fn prune(&self) -> Result<u64> {
        let before = self.hive.source().steady().minus(90 * DAY);
        let mut pruned = 0;
        loop {
            match self.hive.services().audit.prune_batch(before).await? {
                0 => return Ok(pruned),
                count => pruned += count,
            }
        }
    }

    async fn first_seq(&self) -> u64 {
        self.hive.services().store.audit_records(0, 1).await.unwrap()[0].seq
    }

    async fn verify(&self) -> hive_wire::api::AuditVerification {
        self.hive.as_system().audit().verify().await.unwrap()
    }

    async fn export(&self) -> String {
        let mut lines = self.hive.as_system().audit().export().await.unwrap();
        let mut file = String::new();
        while let Some(line) = lines.next().await {
            writeln!(file, "{}", serde_json::to_string(&line).unwrap()).unwrap();
        }
        file
    }

    fn public_key(&self) -> String {
        self.hive.services().audit.keys.audit.public_key()
    }

    fn is_valid_file(&self, file: &str) -> bool {
        verify_export(file.as_bytes(), Some(&self.public_key())).unwrap().valid
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()))
}

#[tokio::test]
async fn a_pruned_log_verifies_and_is_exported_from_its_checkpoint_on() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let pruned = PruningHive::start(dir.path(), &clock).await;
    let old = u64::from(BATCH) + 20;
    pruned.append(old).await;
    let before = pruned.export().await;
    // The export has a record too.
    let old = old + 1;
    for round in 1..=2u64 {
        clock.advance(92 * DAY);
        pruned.append(5).await;
        let deleted = pruned.prune().await.unwrap();
        assert!(deleted >= 6 && pruned.first_seq().await > old, "{deleted} in round {round}");
        assert_eq!(pruned.prune().await.unwrap(), 0, "nothing is left to do");
        let verification = pruned.verify().await;
        assert!(verification.valid && verification.records < 20, "{verification:?}");
        let after = pruned.export().await;
        assert!(pruned.is_valid_file(&after) && pruned.is_valid_file(&before));
        // A line more than the checkpoint says, at the beginning of the file.
        let (_, shortened) = after.split_once('\n').unwrap();
        assert!(!pruned.is_valid_file(shortened));
    }
    let query = AuditQuery { action: Some("audit.checkpoint".into()), ..AuditQuery::default() };
    let checkpoints = pruned.hive.as_system().audit().query(query, PageRequest::default()).await.unwrap();
    assert_eq!(checkpoints.items[0].actor.kind, "system");
    let checkpoint = AuditCheckpoint::verified(&checkpoints.items[0].details).unwrap();
    assert_eq!(checkpoint.last_seq + 1, pruned.first_seq().await);
    pruned.hive.shutdown().await;
}

/// A store whose audit log lacks some records.
struct DamagedStore {
    below: Arc<dyn Store>,
    missing: BTreeSet<u64>,
}

#[async_trait]
impl StoreLayer for DamagedStore {
    fn below(&self) -> &dyn Store {
        self.below.as_ref()
    }

    async fn audit_records(&self, first_seq: u64, limit: u32) -> StoreResult<Vec<AuditRecord>> {
        let mut records = self.below.audit_records(first_seq, limit).await?;
        records.retain(|record| !self.missing.contains(&record.seq));
        Ok(records)
    }
}

#[tokio::test]
async fn a_log_that_lost_records_is_not_pruned() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let below = Database::sqlite(dir.path().join("hive.db")).open().await.unwrap();
    let start = async |missing: &[u64]| {
        let store = DamagedStore { below: below.clone(), missing: missing.iter().copied().collect() };
        std::fs::remove_file(dir.path().join("audit.head")).ok();
        PruningHive::start_on(dir.path(), &clock, Some(Arc::new(store))).await.unwrap()
    };
    let whole = start(&[]).await;
    whole.append(10).await;
    whole.hive.shutdown().await;
    clock.advance(100 * DAY);
    for missing in [&[1][..], &[1, 2], &[4]] {
        let damaged = start(missing).await;
        let error = damaged.prune().await.unwrap_err();
        assert!(matches!(&error, Error::Corrupt(cause) if cause.to_string().contains("not pruned")), "{error:?}");
        damaged.hive.shutdown().await;
    }
    let whole = start(&[]).await;
    assert_eq!(whole.prune().await.unwrap(), 10);
    // One more than the checkpoint covers.
    whole.append(10).await;
    clock.advance(100 * DAY);
    let first = whole.first_seq().await;
    whole.hive.shutdown().await;
    let damaged = start(&[first]).await;
    assert!(damaged.prune().await.is_err());
    damaged.hive.shutdown().await;
}

#[tokio::test]
async fn the_noted_head_may_be_pruned_but_only_behind_a_checkpoint() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let head_file = dir.path().join("audit.head");
    let pruned = PruningHive::start(dir.path(), &clock).await;
    pruned.append(10).await;
    pruned.hive.shutdown().await;
    let noted = std::fs::read_to_string(&head_file).unwrap();
    clock.advance(100 * DAY);
    let pruned = PruningHive::start(dir.path(), &clock).await;
    pruned.append(1).await;
    assert_eq!(pruned.prune().await.unwrap(), 10);
    pruned.hive.shutdown().await;
    let start = async |text: &str| {
        std::fs::write(&head_file, text).unwrap();
        let started = PruningHive::start_on(dir.path(), &clock, None).await;
        if let Ok(pruned) = &started {
            assert!(pruned.verify().await.valid);
            pruned.hive.shutdown().await;
        }
        started.map(drop)
    };
    start(&noted).await.unwrap();
    let other = noted.replace("\"hash\":\"", "\"hash\":\"0");
    assert!(matches!(start(&other).await, Err(Error::Corrupt(_))), "the last pruned record had another hash");
    let ahead = noted.replace("\"seq\":10", "\"seq\":100");
    assert!(matches!(start(&ahead).await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn a_log_is_not_pruned_while_it_is_exported() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let pruned = PruningHive::start(dir.path(), &clock).await;
    // More than an export has under way.
    pruned.append(1500).await;
    clock.advance(100 * DAY);
    let mut export = pruned.hive.as_system().audit().export().await.unwrap();
    let mut file = Vec::new();
    while let Some(line) = export.next().await {
        if matches!(line, AuditExportLine::Record { seq: 1..=100, .. }) {
            assert_eq!(pruned.prune().await.unwrap(), 0);
        }
        file.push(serde_json::to_string(&line).unwrap());
    }
    assert!(pruned.is_valid_file(&file.join("\n")));
    assert_eq!(pruned.prune().await.unwrap(), 1500);
    assert!(pruned.verify().await.valid);
    pruned.hive.shutdown().await;
}

#[tokio::test]
async fn after_the_loss_of_the_key_is_accepted_a_pruned_log_verifies_and_is_pruned_on() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let pruned = PruningHive::start(dir.path(), &clock).await;
    pruned.append(10).await;
    clock.advance(100 * DAY);
    pruned.append(1).await;
    assert_eq!(pruned.prune().await.unwrap(), 10);
    pruned.hive.shutdown().await;
    std::fs::remove_file(dir.path().join("keys/audit.key")).unwrap();
    let source = ClockAndRng { clock: clock.clone(), entropy: Arc::new(SystemEntropy) };
    let settings = Settings::default().retain_audit(None);
    let builder = Hive::builder().data_dir(dir.path()).source(source).settings(settings);
    let hive = builder.accept_other_keys().build().await.unwrap();
    let pruned = PruningHive { hive };
    assert!(pruned.verify().await.valid);
    clock.advance(100 * DAY);
    assert!(pruned.prune().await.unwrap() > 0);
    assert!(pruned.verify().await.valid);
    pruned.hive.shutdown().await;
}

/// Counts the old ones of records with these ages in days. What is older than 90 days may be deleted.
fn check_count(ages: &[i64], expected: Option<usize>) {
    let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
    let record = |age: &i64| {
        let timestamp = Timestamp::from_micros(now.as_micros() - age * DAY.as_micros() as i64);
        let source = ClockAndRng { clock: Arc::new(ManualClock::at(timestamp)), entropy: Arc::new(SystemEntropy) };
        let draft = system_record(&source, AuditAction::AuditNote, Subject::new("1"), json!({}));
        let (entry, record) = chain::seal(draft, 1, GENESIS_HASH);
        AuditRecord { seq: 1, record, previous_hash: entry.previous_hash, hash: entry.hash }
    };
    let records: Vec<_> = ages.iter().map(record).collect();
    assert_eq!(count_old(&records, now.minus(90 * DAY), now), expected, "{ages:?}");
}

#[test]
fn records_are_old_in_the_order_in_which_they_were_written() {
    check_count(&[], None);
    check_count(&[10, 5], None);
    check_count(&[100, 95, 10], Some(2));
    // A few that have only just become old wait for more.
    check_count(&[90, 90, 10], None);
    // A full batch does not.
    check_count(&[91; BATCH as usize], Some(BATCH as usize));
    // A wrong clock: in the future, then in the past.
    check_count(&[100, -300, 95, 10], Some(3));
    check_count(&[100, -300, 10], Some(1));
    check_count(&[10, 20_000, 10], None);
}
