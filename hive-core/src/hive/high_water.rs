//! How far the audit trail had come, noted beside the database every few seconds.
//!
//! A database that has lost its newest transactions looks like one that never had them: a log that was cut off or thrown
//! away, a copy from yesterday. Nearly every change appends to the trail, so that a trail that ends before this mark, or
//! has another record there, tells of it. The mark is written behind and not synced: it may be old, and never ahead.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::store::Store;
use crate::{Error, Result};

const FILE: &str = "audit.head";
/// Records looked at in one go, and how many such goes one sweep takes: where many came at once, the next one goes on.
const BATCH: u32 = 500;
const BATCHES: u32 = 20;

/// Forgets how far the trail of a data directory had come, because another one was put in its place on purpose.
pub fn forget_trail_mark(data_dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(data_dir.join(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A place in the trail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    seq: u64,
    hash: String,
}

/// The mark of one data directory.
#[derive(Debug)]
pub(crate) struct HighWater {
    path: PathBuf,
    mark: Mutex<Mark>,
}

impl HighWater {
    /// Reads the mark, and refuses a database whose trail has not come as far.
    ///
    /// # Errors
    /// `Damaged` where acknowledged changes are missing.
    pub(crate) async fn check(data_dir: &Path, store: &dyn Store) -> Result<Self> {
        let path = data_dir.join(FILE);
        let mark = read(&path).await;
        if let Some(mark) = &mark {
            let there = store.audit_records(mark.seq, 1).await?.pop();
            if there.is_none_or(|line| line.seq != mark.seq || line.hash != mark.hash) {
                return Err(Error::Damaged(lost(&path, mark).into()));
            }
        }
        Ok(Self { path, mark: Mutex::new(mark.unwrap_or_default()) })
    }

    /// Moves the mark to where the trail is by now, or some way there.
    pub(crate) async fn advance(&self, store: &dyn Store) -> Result<()> {
        let before = self.mark.lock().expect("nothing panics while it holds this lock").clone();
        let mut mark = before.clone();
        for _ in 0..BATCHES {
            let mut lines = store.audit_records(mark.seq + 1, BATCH).await?;
            let count = lines.len();
            if let Some(last) = lines.pop() {
                mark = Mark { seq: last.seq, hash: last.hash };
            }
            if count < BATCH as usize {
                break;
            }
        }
        if mark != before {
            write(&self.path, &mark).await.map_err(|error| Error::Unavailable(error.into()))?;
            *self.mark.lock().expect("nothing panics while it holds this lock") = mark;
        }
        Ok(())
    }
}

/// A mark that cannot be read says nothing: there will soon be another.
async fn read(path: &Path) -> Option<Mark> {
    let text = tokio::fs::read(path).await.ok()?;
    let mark = serde_json::from_slice(&text);
    if mark.is_err() {
        tracing::warn!(path = %path.display(), "the mark of the audit trail cannot be read, and is written anew");
    }
    mark.ok()
}

/// Several processes may write at once; each writes what is true, and the last one stays.
async fn write(path: &Path, mark: &Mark) -> std::io::Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let text = serde_json::to_vec(mark)?;
    match write_private(&new, &text).await {
        Ok(()) => tokio::fs::rename(&new, path).await,
        Err(error) => {
            tokio::fs::remove_file(&new).await.ok();
            Err(error)
        }
    }
}

/// Writes a file for the owner alone, whatever the process's umask and the mode of the directory are.
async fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path).await?;
    file.write_all(text).await?;
    // What is still in a buffer of tokio's would be lost with the file's handle.
    file.flush().await
}

fn lost(path: &Path, mark: &Mark) -> String {
    format!(
        "the audit trail had come to record {} and is not there any more: what was acknowledged last is lost, or the database \
         is an older copy; put back the newest backup, or accept the loss by deleting {}",
        mark.seq,
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hive;
    use hive_wire::api::AuditTarget;
    use serde_json::json;

    async fn build(dir: &Path) -> Result<Hive> {
        Hive::builder().data_dir(dir).build().await
    }

    /// A hive that has been used and stopped; its mark.
    async fn used(dir: &Path) -> Mark {
        let hive = build(dir).await.unwrap();
        let target = AuditTarget { kind: "thing".into(), id: "x".into() };
        for _ in 0..3 {
            hive.as_system().audit().log("thing.touch".into(), target.clone(), json!({})).await.unwrap();
        }
        hive.shutdown().await;
        read(&dir.join(FILE)).await.expect("a hive that stops leaves its mark")
    }

    #[tokio::test]
    async fn a_trail_that_ends_before_its_mark_or_says_something_else_there_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mark = used(dir.path()).await;
        assert_eq!(mark.seq, 3);
        assert_eq!(used(dir.path()).await.seq, 6);
        let ahead = Mark { seq: 7, ..mark.clone() };
        let other = Mark { hash: "0".repeat(64), ..mark.clone() };
        for wrong in [ahead, other] {
            write(&dir.path().join(FILE), &wrong).await.unwrap();
            assert!(matches!(build(dir.path()).await, Err(Error::Damaged(_))), "{wrong:?}");
        }
        forget_trail_mark(dir.path()).unwrap();
        forget_trail_mark(dir.path()).unwrap();
        assert_eq!(used(dir.path()).await.seq, 9, "a database that was put there on purpose is taken");
        write(&dir.path().join(FILE), &mark).await.unwrap();
        assert_eq!(used(dir.path()).await.seq, 12, "an old mark is no trouble");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_may_read_the_mark() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        used(dir.path()).await;
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_mark_that_cannot_be_read_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        used(dir.path()).await;
        std::fs::write(dir.path().join(FILE), "garbage").unwrap();
        assert_eq!(used(dir.path()).await.seq, 6);
    }
}
