//! `hive-server backup` and `restore`: a whole hive in one file that only its owner can read.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hive_core::clock::ClockAndRng;
use hive_core::store::backup::{self, BackupError, BackupScope, BackupSummary, HiveLocation};
use serde_json::{Value, json};

/// Writes a backup to a new file, and returns its summary. `-` is standard output: then nothing else is printed, because the
/// last line of a backup is its summary.
pub(super) async fn create(
    location: &HiveLocation,
    scope: BackupScope,
    output: &Path,
) -> Result<Option<Value>, BackupError> {
    if output.as_os_str() == "-" {
        let mut stdout = BufWriter::new(io::stdout());
        backup::create(location, scope, ClockAndRng::default().now(), &mut stdout).await?;
        stdout.flush()?;
        return Ok(None);
    }
    if output.exists() {
        return Err(with_name(output)(io::ErrorKind::AlreadyExists.into()).into());
    }
    // Renamed when it is complete, so that a file of this name is always a whole backup.
    let part = PathBuf::from(format!("{}.part", output.display()));
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(with_name(&part))?;
    let mut file = BufWriter::new(opened);
    let written = backup::create(location, scope, ClockAndRng::default().now(), &mut file).await;
    let summary = written.and_then(|summary| {
        file.flush()?;
        // Before the rename: a crash must not leave an incomplete file under the final name.
        file.get_ref().sync_all()?;
        std::fs::rename(&part, output).map_err(with_name(output))?;
        Ok(summary)
    });
    if summary.is_err() {
        // The error that is returned says more than a failure to remove the file.
        std::fs::remove_file(&part).ok();
    }
    Ok(Some(summary_document("backup", output, &summary?)))
}

/// Restores a backup into an empty data directory and database.
pub(super) async fn restore(location: &HiveLocation, from: &Path) -> Result<Value, BackupError> {
    let open = || Ok(BufReader::new(File::open(from).map_err(with_name(from))?));
    Ok(summary_document("restored", from, &backup::restore(location, open).await?))
}

/// Adds the file name to an error.
fn with_name(file: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn summary_document(what: &str, file: &Path, BackupSummary { rows, sha256 }: &BackupSummary) -> Value {
    json!({ what: file.display().to_string(), "rows": rows, "sha256": sha256 })
}
