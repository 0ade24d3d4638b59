//! Private files, and files that appear only when they are complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Whether a path stands for standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A file that is written under a temporary name and renamed by [`commit`](Self::commit). Dropped before, it is
/// removed.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    file: File,
    path: PathBuf,
    temporary: PathBuf,
}

impl AtomicFile {
    /// Creates the temporary file, readable by its owner alone.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut temporary = path.as_os_str().to_owned();
        // The process id keeps two runs apart. What a crashed one left is overwritten.
        temporary.push(format!(".{}.part", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        Ok(Self { file, path: path.to_owned(), temporary })
    }

    /// Gives the file its name.
    pub(crate) fn commit(self) -> io::Result<()> {
        // The data is on the disk before the name is: after a crash, the name stands for the old content or for all of
        // the new.
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // Fails after a commit, because the rename took the name. Where it fails otherwise, nothing reads that name.
        fs::remove_file(&self.temporary).ok();
    }
}

/// Writes a file that only its owner may read. Missing directories are created with the same restriction.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Reads a file that belongs to this user and is closed to others; `None` where there is none.
pub(crate) fn read_private(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // Checked on the open file, not on the path: the file cannot be replaced between the check and the read. A file
    // that another user can write could send the commands and the key of this user to another hive.
    let metadata = file.metadata()?;
    let is_ours = metadata.uid() == nix::unistd::geteuid().as_raw();
    let for_others = metadata.permissions().mode() & 0o077;
    let is_private = for_others == 0;
    if !is_ours || !is_private {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it must belong to you and be closed to others (chmod 600)",
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
    fn a_file_that_is_not_committed_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        AtomicFile::create(&path).unwrap().write_all(b"half").unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_file_that_is_not_there_is_none() {
        assert!(read_private(Path::new("/nonexistent/profile.json")).unwrap().is_none());
    }
}
