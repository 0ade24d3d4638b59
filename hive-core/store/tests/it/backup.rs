use std::io::Cursor;
use std::sync::Arc;

use hive_store::access::VisibleScope;
use hive_store::audit::{AuditAction, AuditDraft};
use hive_store::backup::{BackupError, BackupScope, HiveLocation, create, restore};
use hive_store::key_files::{self, KEY_FILES};
use hive_store::{Database, RowRange, Store};
use hive_store_conformance::{check_all, check_telemetry};
use hive_wire::AuditId;
use hive_wire::api::{Actor, AuditQuery};
use hive_wire::id::Seed;

/// A location below a directory.
fn location_in(dir: &tempfile::TempDir, name: &str) -> HiveLocation {
    let data = dir.path().join(name);
    HiveLocation { database: Database::sqlite(data.join("hive.db")), keys: data.join("keys") }
}

/// A hive in which something of every kind has happened.
async fn busy(dir: &tempfile::TempDir) -> (HiveLocation, Arc<dyn Store>) {
    let location = location_in(dir, "one");
    key_files::open_dir(&location.keys).unwrap();
    for name in KEY_FILES {
        // A backup does not look into them.
        std::fs::write(location.keys.join(name), format!("{name} of a test\n")).unwrap();
    }
    let store = location.database.open().await.unwrap();
    check_all(Arc::clone(&store)).await;
    (location, store)
}

async fn backup_of(location: &HiveLocation) -> Vec<u8> {
    backup_with(location, BackupScope::Hive).await
}

async fn backup_with(location: &HiveLocation, scope: BackupScope) -> Vec<u8> {
    let mut file = Vec::new();
    create(location, scope, "2026-11-30T12:00:00Z".parse().unwrap(), &mut file).await.unwrap();
    file
}

/// The lines of a backup but its first and last, sorted: they name its time and its checksum.
fn content(file: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(file).unwrap().lines();
    let mut lines: Vec<_> = lines.filter(|line| !line.contains("\"header\"") && !line.contains("\"end\"")).collect();
    lines.sort_unstable();
    lines.into_iter().map(str::to_owned).collect()
}

fn draft() -> AuditDraft {
    let id = AuditId::new(Seed { unix_millis: 0, random: [0; 10] });
    let actor = Actor { kind: "system".into(), id: "system".into(), name: "system".into(), ip: None };
    AuditDraft::new(id, "2026-11-30T12:00:00Z".parse().unwrap(), actor, AuditAction::AuditNote, "1")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restored_is_what_was_backed_up() {
    let dir = tempfile::tempdir().unwrap();
    let (one, store) = busy(&dir).await;
    let file = backup_of(&one).await;
    let records = store.audit_verify(None).await.unwrap().records;
    // The log was pruned, so that it has fewer records than its last number says.
    let newest = RowRange::part(0, 1);
    let (newest, _) = store.audit_list(&AuditQuery::default(), &VisibleScope::ALL, newest).await.unwrap();
    let other = location_in(&dir, "other");
    let summary = restore(&other, || Ok(Cursor::new(&file))).await.unwrap();
    assert!(summary.rows > records, "{summary:?}");
    assert_eq!(content(&backup_of(&other).await), content(&file));
    let restored = other.database.open().await.unwrap();
    let verification = restored.audit_verify(None).await.unwrap();
    assert!(verification.valid && verification.records == records, "{verification:?}");
    assert!(newest[0].seq > records, "{newest:?}");
    assert_eq!(restored.audit_append(draft()).await.unwrap().seq, newest[0].seq + 1, "the chain goes on");
    // There is a hive now.
    let again = restore(&other, || Ok(Cursor::new(&file))).await;
    assert!(matches!(again, Err(BackupError::NotEmpty(_))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_whole_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (one, _store) = busy(&dir).await;
    let file = backup_of(&one).await;
    let last_line = file.len() - 1 - file[..file.len() - 1].iter().rev().position(|byte| *byte == b'\n').unwrap();
    let middle = file[..file.len() / 2].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let mut changed = file.clone();
    let offset_of = |text: &[u8]| file.windows(text.len()).position(|window| window == text).unwrap();
    changed[offset_of(b"audit.note")] = b'A';
    let twice = [&*file, &*file].concat();
    let broken = [&file[..0], &file[..last_line], &file[..file.len() - 1], &file[..middle], &changed, &twice, b"{}\n"];
    for (number, broken) in broken.into_iter().enumerate() {
        let other = location_in(&dir, &format!("other-{number}"));
        let restored = restore(&other, || Ok(Cursor::new(broken))).await;
        assert!(matches!(restored, Err(BackupError::Corrupt(_))), "{number}: {restored:?}");
        assert!(!other.keys.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_is_in_a_backup_that_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (one, _store) = busy(&dir).await;
    check_telemetry(one.database.open_telemetry().await.unwrap()).await;
    let (without, with) = (backup_of(&one).await, backup_with(&one, BackupScope::HiveAndTelemetry).await);
    for (file, is_included) in [(without, false), (with, true)] {
        let has = content(&file).iter().any(|line| line.contains("satellite_heartbeats"));
        assert_eq!(has, is_included);
        let other = location_in(&dir, &format!("other-{is_included}"));
        restore(&other, || Ok(Cursor::new(&file))).await.unwrap();
        assert_eq!(other.database.telemetry_file().unwrap().exists(), is_included);
        let telemetry = other.database.open_telemetry().await.unwrap();
        // The restored telemetry is written on.
        check_telemetry(telemetry).await;
        assert_eq!(other.database.check_telemetry().await.unwrap(), Vec::<String>::new());
        let scope = if is_included { BackupScope::HiveAndTelemetry } else { BackupScope::Hive };
        assert!(backup_with(&other, scope).await.len() >= file.len());
    }
    // Telemetry of another hive is not replaced.
    let third = location_in(&dir, "third");
    std::fs::create_dir(dir.path().join("third")).unwrap();
    std::fs::write(third.database.telemetry_file().unwrap(), "").unwrap();
    let with = backup_with(&one, BackupScope::HiveAndTelemetry).await;
    let refused = restore(&third, || Ok(Cursor::new(&with))).await;
    assert!(matches!(refused, Err(BackupError::NotEmpty(_))), "{refused:?}");
    assert!(!third.keys.exists());
}
