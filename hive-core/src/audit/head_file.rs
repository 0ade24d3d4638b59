//! How far the audit log has come, noted beside the database every few seconds.
//!
//! A database that has lost its newest transactions looks like one that never had them: a log that was truncated or deleted, a copy
//! of yesterday. Nearly every change appends to the audit log, so that an audit log that ends before the noted head, or has
//! another record there, shows the loss. The file is written later than the records and not synced: it may be old, and is never
//! ahead.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;

use super::pruning::newest_checkpoints;
use crate::store::Store;
use crate::store::audit::AuditHead;
use crate::sync::lock;
use crate::{Error, Result};

const FILE: &str = "audit.head";

/// Removes the head of the audit log from a data directory, because another database was put there on purpose.
pub fn reset_audit_head(data_dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(data_dir.join(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The file of one data directory.
pub(crate) struct AuditHeadFile {
    path: PathBuf,
    store: Arc<dyn Store>,
    head: Mutex<AuditHead>,
}

impl AuditHeadFile {
    /// Reads the file, and refuses a database whose audit log has not come as far. The record may have been pruned since, behind
    /// a checkpoint that was signed with this key.
    ///
    /// # Errors
    /// `Corrupt` where acknowledged changes are missing.
    pub(crate) async fn open(data_dir: &Path, store: Arc<dyn Store>, public_key: &str) -> Result<Self> {
        let path = data_dir.join(FILE);
        let head = read(&path).await;
        if let Some(head) = &head {
            let stored = store.audit_records(head.seq, 1).await?.pop();
            let is_there = stored.is_some_and(|line| line.seq == head.seq && line.hash == head.hash);
            if !is_there && !is_pruned(store.as_ref(), public_key, head).await? {
                return Err(Error::Corrupt(lost(&path, head).into()));
            }
        }
        Ok(Self { path, store, head: Mutex::new(head.unwrap_or_default()) })
    }

    /// Moves the head to where the audit log is now.
    pub(crate) async fn advance(&self) -> Result<()> {
        let Some(head) = self.store.audit_head().await? else { return Ok(()) };
        if head != *lock(&self.head) {
            write(&self.path, &head).await.map_err(|error| Error::Unavailable(error.into()))?;
            *lock(&self.head) = head;
        }
        Ok(())
    }
}

/// Whether the record of the head was pruned.
async fn is_pruned(store: &dyn Store, public_key: &str, head: &AuditHead) -> Result<bool> {
    let is_behind = |seq| seq > head.seq;
    if !store.audit_records(0, 1).await?.first().is_some_and(|first| is_behind(first.seq)) {
        return Ok(false);
    }
    // The last pruned record may be the head itself, and must then be the same one.
    let checkpoints = newest_checkpoints(store, public_key).await?;
    Ok(checkpoints.iter().any(|it| is_behind(it.last_seq) || it.last_seq == head.seq && it.last_hash == head.hash))
}

/// A file that cannot be read is ignored: it is soon written anew.
async fn read(path: &Path) -> Option<AuditHead> {
    let text = tokio::fs::read(path).await.ok()?;
    let head = serde_json::from_slice(&text);
    if head.is_err() {
        tracing::warn!(path = %path.display(), "the noted head of the audit log cannot be read, and is written anew");
    }
    head.ok()
}

/// Several processes may write at once; each writes what is true, and the last one stays.
async fn write(path: &Path, head: &AuditHead) -> std::io::Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let text = serde_json::to_vec(head)?;
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

fn lost(path: &Path, head: &AuditHead) -> String {
    format!(
        "the audit log had come to record {} and ends before it now: what was acknowledged last is lost, or the database \
         is an older copy; put back the newest backup, or accept the loss by deleting {}",
        head.seq,
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

    /// Uses a hive and stops it. Returns the head that it leaves.
    async fn used(dir: &Path) -> AuditHead {
        let hive = build(dir).await.unwrap();
        let target = AuditTarget { kind: "thing".into(), id: "x".into() };
        for _ in 0..3 {
            hive.as_system().audit().log("thing.touch".into(), target.clone(), json!({})).await.unwrap();
        }
        hive.shutdown().await;
        read(&dir.join(FILE)).await.expect("a hive that stops leaves its head")
    }

    #[tokio::test]
    async fn a_log_that_ends_before_its_head_or_differs_there_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let head = used(dir.path()).await;
        assert_eq!(head.seq, 3);
        assert_eq!(used(dir.path()).await.seq, 6);
        let ahead = AuditHead { seq: 7, ..head.clone() };
        let other = AuditHead { hash: "0".repeat(64), ..head.clone() };
        for wrong in [ahead, other] {
            write(&dir.path().join(FILE), &wrong).await.unwrap();
            assert!(matches!(build(dir.path()).await, Err(Error::Corrupt(_))), "{wrong:?}");
        }
        reset_audit_head(dir.path()).unwrap();
        reset_audit_head(dir.path()).unwrap();
        assert_eq!(used(dir.path()).await.seq, 9, "a database that was put there on purpose is accepted");
        write(&dir.path().join(FILE), &head).await.unwrap();
        assert_eq!(used(dir.path()).await.seq, 12, "an old head does no harm");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        used(dir.path()).await;
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        used(dir.path()).await;
        std::fs::write(dir.path().join(FILE), "garbage").unwrap();
        assert_eq!(used(dir.path()).await.seq, 6);
    }
}
