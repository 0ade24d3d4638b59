//! `hive-server backup` and `restore`: a whole hive in one file, which only its owner may read.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hive_core::clock::Source;
use hive_core::store::backup::{self, BackupError, Place, Summary};
use serde_json::{Value, json};

/// Writes a backup to a file that is not there yet. Under its own name there is a whole one or none. `-` is standard output,
/// where nothing else is said: the last line of a backup is its summary.
pub(super) async fn create(place: &Place, output: &Path) -> Result<Option<Value>, BackupError> {
    if output.as_os_str() == "-" {
        let mut stdout = BufWriter::new(io::stdout());
        backup::create(place, Source::default().now(), &mut stdout).await?;
        stdout.flush()?;
        return Ok(None);
    }
    if output.exists() {
        return Err(named(output)(io::ErrorKind::AlreadyExists.into()).into());
    }
    let part = PathBuf::from(format!("{}.part", output.display()));
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(named(&part))?;
    let mut file = BufWriter::new(opened);
    let written = backup::create(place, Source::default().now(), &mut file).await;
    let summary = written.and_then(|summary| {
        file.flush()?;
        file.get_ref().sync_all()?;
        std::fs::rename(&part, output).map_err(named(output))?;
        Ok(summary)
    });
    if summary.is_err() {
        std::fs::remove_file(&part).ok();
    }
    Ok(Some(told("backup", output, &summary?)))
}

/// Restores a backup where there is no hive yet.
pub(super) async fn restore(place: &Place, from: &Path) -> Result<Value, BackupError> {
    let open = || Ok(BufReader::new(File::open(from).map_err(named(from))?));
    Ok(told("restored", from, &backup::restore(place, open).await?))
}

/// Says which file it is about.
fn named(file: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn told(what: &str, file: &Path, Summary { rows, sha256 }: &Summary) -> Value {
    json!({ what: file.display().to_string(), "rows": rows, "sha256": sha256 })
}
