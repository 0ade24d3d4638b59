//! Files with secrets in them, and files that are there only when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Whether a path stands for standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A file under a provisional name. It gets its name when it is kept; dropped before, nothing is left of it.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    provisional: PathBuf,
}

impl Draft {
    /// Opens a file that only its owner may read.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut provisional = path.as_os_str().to_owned();
        provisional.push(format!(".{}.part", std::process::id()));
        let provisional = PathBuf::from(provisional);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&provisional)?;
        Ok(Self { file, path: path.to_owned(), provisional })
    }

    pub(crate) fn keep(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.provisional, &self.path)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already where it was kept; else it stays under a name that nobody reads.
        fs::remove_file(&self.provisional).ok();
    }
}

/// Writes a file that only its owner may read, and its directory.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut draft = Draft::create(path)?;
    draft.write_all(bytes)?;
    draft.keep()
}

/// Reads a file that only we may write and read; `None` where there is none. A file of somebody else could send our
/// commands to a hive of theirs.
pub(crate) fn read_private(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let is_ours = metadata.uid() == nix::unistd::geteuid().as_raw();
    let for_others = metadata.permissions().mode() & 0o077;
    let is_private = for_others == 0;
    if !is_ours || !is_private {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it must be ours and closed to others (chmod 600)",
        ));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_closed_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/profile.json");
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_private(&path).unwrap().unwrap(), b"secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read_private(&path).is_err());
    }

    #[test]
    fn a_draft_that_is_not_kept_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        Draft::create(&path).unwrap().write_all(b"half").unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        let mut draft = Draft::create(&path).unwrap();
        draft.write_all(b"whole").unwrap();
        draft.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_file_that_is_not_there_is_none() {
        assert!(read_private(Path::new("/nonexistent/profile.json")).unwrap().is_none());
    }
}
