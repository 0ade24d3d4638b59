//! Atomic and private files: after a crash a file has either the old or the new content, and only the agent's user can
//! read it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Writes a whole file with mode 0600. After a crash it has either the old or the new content.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    // In the same directory, because `rename` is atomic only within a file system.
    let temporary = path.with_extension("new");
    let written = write_whole(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // A full disk needs even this much space back.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    sync_parent(path)
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = private_file().write(true).truncate(true).open(path)?;
    file.write_all(content)?;
    // Before the rename: otherwise a power loss could leave the new name with no content.
    file.sync_all()
}

/// Makes the creation, renaming or removal of a file durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Options for a file that only the agent's user may read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Set at creation: a later `chmod` would leave a moment in which others can open the file.
    options.create(true).mode(0o600);
    options
}

/// Creates a directory, and its parents, that only the agent's user may enter.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_written_file_is_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.json");
        write_atomically(&path, b"a longer first version").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the temporary file is gone");
    }
}
