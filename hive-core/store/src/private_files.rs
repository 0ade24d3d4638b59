//! Files and directories that only their owner may read. Elsewhere than on Unix the modes are ignored.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a directory and its missing parents with mode 0700. An existing one keeps its mode.
///
/// # Errors
/// If it cannot be created; the message names it.
pub fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot make {}: {error}", dir.display()));
    builder.create(dir).map_err(named)
}

/// Creates a file that does not exist yet, with this mode.
///
/// # Errors
/// If it exists or cannot be created.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let file = options.open(path)?;
    // The umask may have removed bits of the mode.
    restrict(path, mode)?;
    Ok(file)
}

/// Sets the mode of a file or directory.
///
/// # Errors
/// If the mode cannot be read or set.
#[cfg(unix)]
pub fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = std::fs::metadata(path)?.permissions();
    // No system call where nothing changes: the directory may belong to somebody else.
    if permissions.mode() & 0o777 == mode {
        return Ok(());
    }
    permissions.set_mode(mode);
    std::fs::set_permissions(path, permissions)
}

/// Does nothing: there are no modes here.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn restrict(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Makes the names of new files in a directory durable.
///
/// # Errors
/// If the directory cannot be synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    // Only Unix opens a directory as a file.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
