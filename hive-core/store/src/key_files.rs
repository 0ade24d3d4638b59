//! The files in which a hive keeps its secrets. `hive_core::keys` makes and reads them; a backup contains them as they are.

use std::io;
use std::path::{Path, PathBuf};

use crate::private_files;

/// The key ring of the vault, which seals stored secrets.
pub const VAULT_FILE: &str = "vault.json";
/// The key that signs logins and registration tokens.
pub const TOKEN_FILE: &str = "token.key";
/// The key that signs exports of the audit log.
pub const AUDIT_FILE: &str = "audit.key";

/// All of them. A hive that loses one is not the same hive any more.
pub const KEY_FILES: [&str; 3] = [VAULT_FILE, TOKEN_FILE, AUDIT_FILE];

/// Why the key files could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The directory or a file in it cannot be read or written.
    #[error("cannot open key file {path}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file contains no key. It is left unchanged: restore the right one from a backup.
    #[error("key file {path} is damaged; put back the right one from a backup")]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
}

/// Creates the key directory if it is missing, and restricts it to its owner.
///
/// # Errors
/// If it cannot be created or restricted.
pub fn open_dir(dir: &Path) -> Result<(), KeysError> {
    // An existing directory may have been created by an administrator with other permissions.
    let opened = std::fs::create_dir_all(dir).and_then(|()| private_files::restrict(dir, 0o700));
    opened.map_err(|source| KeysError::Io { path: dir.to_owned(), source })
}
