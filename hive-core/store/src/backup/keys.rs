//! The key files of a backup, copied byte for byte.

use std::io::Write;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::key_files::{self, KEY_FILES, KeysError};
use crate::private_files;

/// Reads the key files of a directory.
pub(super) fn read(dir: &Path) -> Result<Vec<(&'static str, Zeroizing<String>)>, KeysError> {
    let read = |name| {
        let path = dir.join(name);
        let text = std::fs::read_to_string(&path).map_err(|source| KeysError::Io { path, source })?;
        Ok((name, Zeroizing::new(text)))
    };
    KEY_FILES.into_iter().map(read).collect()
}

/// Returns the path of a key file that exists already as the error.
pub(super) fn expect_none(dir: &Path) -> Result<(), PathBuf> {
    KEY_FILES.iter().map(|name| dir.join(name)).find(|path| path.exists()).map_or(Ok(()), Err)
}

/// Writes a key file of a backup. An existing file is not replaced.
pub(super) fn restore(dir: &Path, name: &str, text: &str) -> Result<(), KeysError> {
    let path = dir.join(name);
    // The name comes from the backup: anything but a known name could be a path out of the directory.
    if !KEY_FILES.contains(&name) {
        return Err(KeysError::Corrupt { path });
    }
    key_files::open_dir(dir)?;
    let written = private_files::create_new(&path, 0o600).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        private_files::sync_dir(dir)
    });
    written.map_err(|source| KeysError::Io { path, source })
}

/// Removes the key files of a restore that failed.
pub(super) fn remove(dir: &Path) {
    for name in KEY_FILES {
        std::fs::remove_file(dir.join(name)).ok();
    }
}
