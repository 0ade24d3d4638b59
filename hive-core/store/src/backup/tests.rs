use std::io::Cursor;

use super::*;
use crate::fixture::now;
use crate::key_files::{self, KEY_FILES};

/// A location below a directory.
fn location_in(dir: &tempfile::TempDir, name: &str) -> HiveLocation {
    let data = dir.path().join(name);
    HiveLocation { database: Database::sqlite(data.join("hive.db")), keys: data.join("keys") }
}

/// Writes key files with some text. A backup does not look into them.
fn write_keys(dir: &std::path::Path) {
    key_files::open_dir(dir).unwrap();
    for name in KEY_FILES {
        std::fs::write(dir.join(name), format!("{name} of a test\n")).unwrap();
    }
}

async fn backup_of(location: &HiveLocation) -> Vec<u8> {
    let mut file = Vec::new();
    create(location, BackupScope::Hive, now(), &mut file).await.unwrap();
    file
}

#[tokio::test]
async fn a_backup_of_the_first_layout_grows() {
    let dir = tempfile::tempdir().unwrap();
    let first = location_in(&dir, "first");
    write_keys(&first.keys);
    let mut connection = first.database.connect(true).await.unwrap();
    Version::of(&mut *connection).await.unwrap().migrate_to(&mut *connection, 1).await.unwrap();
    connection.close().await.unwrap();
    let file = backup_of(&first).await;
    let other = location_in(&dir, "other");
    restore(&other, || Ok(Cursor::new(&file))).await.unwrap();
    assert!(other.database.open().await.unwrap().session_list_open(None).await.unwrap().is_empty());
}

#[test]
fn a_backup_of_before_the_first_release_is_refused() {
    let header = r#"{"header":{"format":1,"migration":4,"program":"0.1.0","created_at":"2026-11-01T00:00:00Z"}}"#;
    let error = file::verify(Cursor::new(format!("{header}\n"))).unwrap_err();
    assert!(matches!(error, BackupError::Unsupported), "{error:?}");
}

#[tokio::test]
async fn every_table_is_in_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let location = location_in(&dir, "one");
    private_files::create_dir(location.keys.parent().unwrap()).unwrap();
    drop(location.database.open().await.unwrap());
    drop(location.database.open_telemetry().await.unwrap());
    let hive = (location.database.connect(false).await.unwrap(), &tables::TABLES[..]);
    let telemetry = (location.database.connect_telemetry(false).await.unwrap().unwrap(), &tables::TELEMETRY_TABLES[..]);
    for (mut connection, tables) in [hive, telemetry] {
        let known = tables::all(&mut *connection, tables).await.unwrap();
        assert_eq!(known.len() + 1, tables::names(&mut *connection).await.unwrap().len(), "all but the versions");
        assert_eq!(known.len(), tables.len());
    }
}
