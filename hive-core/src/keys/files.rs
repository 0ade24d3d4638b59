//! The files of the keys as they are, for a backup.

use std::io::Write;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{AUDIT_FILE, KeyDir, KeysError, TOKEN_FILE, VAULT_FILE, create_new};

/// The files without which a hive is not the same hive.
const FILES: [&str; 3] = [VAULT_FILE, TOKEN_FILE, AUDIT_FILE];

/// Reads them.
pub(crate) fn read(dir: &Path) -> Result<Vec<(&'static str, Zeroizing<String>)>, KeysError> {
    let read = |name| {
        let path = dir.join(name);
        let text = std::fs::read_to_string(&path).map_err(|source| KeysError::Io { path, source })?;
        Ok((name, Zeroizing::new(text)))
    };
    FILES.into_iter().map(read).collect()
}

/// Says which file of a key is there already.
pub(crate) fn expect_none(dir: &Path) -> Result<(), PathBuf> {
    FILES.iter().map(|name| dir.join(name)).find(|path| path.exists()).map_or(Ok(()), Err)
}

/// Puts back a file out of a backup, where there is none of its name.
pub(crate) fn put_back(dir: &Path, name: &str, text: &str) -> Result<(), KeysError> {
    let path = dir.join(name);
    if !FILES.contains(&name) {
        return Err(KeysError::Damaged { path });
    }
    let keys = KeyDir::open(dir)?;
    let written = create_new(&path, 0o600).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        keys.sync()
    });
    written.map_err(|source| KeysError::Io { path, source })
}

/// Takes back what was put back.
pub(crate) fn remove(dir: &Path) {
    for name in FILES {
        std::fs::remove_file(dir.join(name)).ok();
    }
}
