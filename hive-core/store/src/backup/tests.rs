use std::io::Cursor;
use std::sync::Arc;

use super::*;
use crate::fixture::{draft, now};
use crate::key_files::{self, KEY_FILES};
use crate::{Store, conformance};

/// A place below a folder, with keys.
fn place(dir: &tempfile::TempDir, name: &str) -> Place {
    let data = dir.path().join(name);
    Place { database: Database::sqlite(data.join("hive.db")), keys: data.join("keys") }
}

/// Writes key files with some text. A backup does not look into them.
fn write_keys(dir: &std::path::Path) {
    key_files::open_dir(dir).unwrap();
    for name in KEY_FILES {
        std::fs::write(dir.join(name), format!("{name} of a test\n")).unwrap();
    }
}

/// A hive in which something of every kind has happened.
async fn busy(dir: &tempfile::TempDir) -> (Place, Arc<dyn Store>) {
    let place = place(dir, "one");
    write_keys(&place.keys);
    let store = place.database.open().await.unwrap();
    conformance::check_all(Arc::clone(&store)).await;
    (place, store)
}

async fn backup_of(place: &Place) -> Vec<u8> {
    let mut file = Vec::new();
    create(place, now(), &mut file).await.unwrap();
    file
}

/// All that is said in a backup but its time.
fn content(file: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(file).unwrap().lines();
    let mut lines: Vec<_> = lines.filter(|line| !line.contains("\"header\"") && !line.contains("\"end\"")).collect();
    lines.sort_unstable();
    lines.into_iter().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restored_is_what_was_backed_up() {
    let dir = tempfile::tempdir().unwrap();
    let (one, store) = busy(&dir).await;
    let file = backup_of(&one).await;
    let records = store.audit_verify().await.unwrap().records;
    let other = place(&dir, "other");
    let summary = restore(&other, || Ok(Cursor::new(&file))).await.unwrap();
    assert!(summary.rows > records, "{summary:?}");
    assert_eq!(content(&backup_of(&other).await), content(&file));
    let restored = other.database.open().await.unwrap();
    let verification = restored.audit_verify().await.unwrap();
    assert!(verification.valid && verification.records == records, "{verification:?}");
    assert_eq!(restored.audit_append(draft()).await.unwrap().seq, records + 1);
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
    let place_of = |text: &[u8]| file.windows(text.len()).position(|window| window == text).unwrap();
    changed[place_of(b"check.ed")] = b'C';
    let twice = [&*file, &*file].concat();
    let broken = [&file[..0], &file[..last_line], &file[..file.len() - 1], &file[..middle], &changed, &twice, b"{}\n"];
    for (number, broken) in broken.into_iter().enumerate() {
        let other = place(&dir, &format!("other-{number}"));
        let restored = restore(&other, || Ok(Cursor::new(broken))).await;
        assert!(matches!(restored, Err(BackupError::Damaged(_))), "{number}: {restored:?}");
        assert!(!other.keys.exists());
    }
}

#[tokio::test]
async fn a_backup_of_the_first_layout_grows() {
    let dir = tempfile::tempdir().unwrap();
    let first = place(&dir, "first");
    write_keys(&first.keys);
    let mut connection = first.database.connect(true).await.unwrap();
    Version::of(&mut *connection).await.unwrap().grow(&mut *connection, 1).await.unwrap();
    connection.close().await.unwrap();
    let file = backup_of(&first).await;
    let other = place(&dir, "other");
    restore(&other, || Ok(Cursor::new(&file))).await.unwrap();
    assert!(other.database.open().await.unwrap().session_list_open(None).await.unwrap().is_empty());
}

#[test]
fn a_backup_of_before_the_first_release_is_refused() {
    let header = r#"{"header":{"format":1,"migration":4,"program":"0.1.0","created_at":"2026-11-01T00:00:00Z"}}"#;
    let error = file::check(Cursor::new(format!("{header}\n"))).unwrap_err();
    assert!(matches!(error, BackupError::Unsupported), "{error:?}");
}

#[tokio::test]
async fn every_table_is_in_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(&dir, "one");
    private_files::create_dir(place.keys.parent().unwrap()).unwrap();
    drop(place.database.open().await.unwrap());
    let mut connection = place.database.connect(false).await.unwrap();
    let known = tables::all(&mut *connection).await.unwrap();
    assert_eq!(known.len() + 1, tables::names(&mut *connection).await.unwrap().len(), "all but the versions");
    assert_eq!(known.len(), tables::TABLES.len());
}
