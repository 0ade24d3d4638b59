//! The hive's own secrets, and their files.
//!
//! Each file is created once, at the first start. If several processes start at the same time, the first complete file is
//! kept, and all processes read it. Each file ends with a checksum, which detects a change by a faulty disk. Without
//! `vault.json`, sealed values cannot be opened. Without `audit.key`, later exports are signed by another key than earlier
//! ones.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use hive_store::key_files::{self, AUDIT_FILE, KEY_FILES, TOKEN_FILE, VAULT_FILE};
use hive_store::private_files;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::clock::ClockAndRng;
use crate::store::Fingerprints;
use crate::store::audit::AuditSigner;
use crate::vault::Vault;

pub use hive_store::key_files::KeysError;

/// The public half of the audit key, with which an export is verified elsewhere.
const AUDIT_PUBLIC_FILE: &str = "audit.pub";
const SECRET_LEN: usize = 32;
/// The prefix of the checksum line. Files of earlier versions have no such line.
const CHECKSUM: &str = "sha256:";
/// The prefix of the data that a fingerprint digests. It separates fingerprints from other digests of the same keys.
const FINGERPRINT: &[u8] = b"satellite hive key fingerprint 1\0";

/// Returns the key files that a directory does not have.
pub(crate) fn missing(dir: &Path) -> Vec<PathBuf> {
    KEY_FILES.map(|name| dir.join(name)).into_iter().filter(|path| !path.exists()).collect()
}

/// The hive's own secrets.
#[derive(Debug)]
pub struct Keys {
    /// Seals what is stored.
    pub vault: Vault,
    /// Signs logins and registration tokens (HS256).
    pub token_secret: SecretSlice<u8>,
    /// Signs exports of the audit log.
    pub audit: AuditSigner,
}

impl Keys {
    /// Fresh keys that live in memory only.
    pub fn generate(source: &ClockAndRng) -> Self {
        Self {
            vault: Vault::generate(source),
            token_secret: source.random::<SECRET_LEN>().to_vec().into(),
            audit: AuditSigner::from_secret(&source.random()),
        }
    }

    /// Returns a fingerprint of each key, by the name of its file. A vault keeps its fingerprint when it gets a newer key.
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        let of = |name: &str, secret: &[u8]| {
            let mut digest = Sha256::new_with_prefix(FINGERPRINT);
            digest.update(name);
            // No name contains this byte, so that name and secret cannot be divided in another way.
            digest.update([0]);
            // Each secret has 256 random bits, so that it cannot be guessed from its digest.
            digest.update(secret);
            (name.to_owned(), data_encoding::HEXLOWER.encode(&digest.finalize()))
        };
        [
            of(VAULT_FILE, self.vault.oldest_key()),
            of(TOKEN_FILE, self.token_secret.expose_secret()),
            of(AUDIT_FILE, &self.audit.secret()[..]),
        ]
        .into()
    }

    /// Opens the keys in a directory, and creates missing ones.
    pub fn open(dir: &Path, source: &ClockAndRng) -> Result<Self, KeysError> {
        let dir = KeyDir::open(dir)?;
        // Of each fresh key, `open_or_make` uses only what no file contains yet.
        let fresh = Self::generate(source);
        let vault = dir.open_or_make(source, VAULT_FILE, &fresh.vault.to_text(), |text| Vault::from_text(text).ok())?;
        let secret = |bytes: &[u8]| Zeroizing::new(BASE64.encode(bytes));
        let token_secret = dir.open_or_make(source, TOKEN_FILE, &secret(&source.random::<SECRET_LEN>()), decode)?;
        let audit = dir.open_or_make(source, AUDIT_FILE, &secret(&fresh.audit.secret()[..]), decode)?;
        let audit = AuditSigner::from_secret(&audit);
        // From the key that was read, not from the fresh one: another process may have created the file first.
        dir.publish(source, AUDIT_PUBLIC_FILE, &audit.public_key())?;
        Ok(Self { vault, token_secret: token_secret.to_vec().into(), audit })
    }
}

fn decode(text: &str) -> Option<Zeroizing<[u8; SECRET_LEN]>> {
    let bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).ok()?);
    bytes[..].try_into().map(Zeroizing::new).ok()
}

/// A directory that only its owner can read.
struct KeyDir<'d>(&'d Path);

impl<'d> KeyDir<'d> {
    fn open(path: &'d Path) -> Result<Self, KeysError> {
        key_files::open_dir(path)?;
        Ok(Self(path))
    }

    /// Reads a file. If it is missing, it is created with the content `fresh` first.
    fn open_or_make<K>(
        &self,
        source: &ClockAndRng,
        name: &str,
        fresh: &str,
        parse: impl FnOnce(&str) -> Option<K>,
    ) -> Result<K, KeysError> {
        let path = self.0.join(name);
        // A damaged file is never replaced: its content may still be recovered, and a new key would open nothing.
        let text =
            self.read_or_make(source, &path, fresh).map_err(|source| KeysError::Io { path: path.clone(), source })?;
        std::str::from_utf8(&text).ok().and_then(checked).and_then(parse).ok_or(KeysError::Corrupt { path })
    }

    fn read_or_make(&self, source: &ClockAndRng, path: &Path, fresh: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        if !path.exists() {
            // Complete and synced before it gets its name: a process that is killed leaves no half key under it.
            let content = Zeroizing::new(format!("{fresh}\n{}", checksum(fresh)));
            let temporary = self.write_temporary(source, &content, 0o600)?;
            // A hard link never replaces a file. Of several processes, the first creates it, and all read that one.
            let linked = std::fs::hard_link(&temporary, path);
            std::fs::remove_file(&temporary)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                // Also if another process created it: that process may not have synced the directory yet, and this one is
                // about to seal with the key.
                _ => private_files::sync_dir(self.0)?,
            }
        }
        // A file that was restored from a backup or copied by hand may be readable by others.
        private_files::restrict(path, 0o600)?;
        std::fs::read(path).map(Zeroizing::new)
    }

    /// Writes a file that everybody may read, unless it has this content already.
    fn publish(&self, source: &ClockAndRng, name: &str, text: &str) -> Result<(), KeysError> {
        let path = self.0.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|there| there.trim_end() == text) {
            return Ok(());
        }
        // A rename, which replaces: this file is derived from a key, so an old one may be lost.
        self.write_temporary(source, text, 0o644)
            .and_then(|temporary| std::fs::rename(temporary, &path))
            .and_then(|()| private_files::sync_dir(self.0))
            .map_err(|source| KeysError::Io { path, source })
    }

    fn write_temporary(&self, source: &ClockAndRng, text: &str, mode: u32) -> io::Result<PathBuf> {
        // Random, because the processes that start at once write their files at the same time.
        let unique = data_encoding::HEXLOWER.encode(&source.random::<8>());
        let path = self.0.join(format!(".{unique}.tmp"));
        let mut file = private_files::create_new(&path, mode)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(path)
    }
}

fn checksum(text: &str) -> String {
    format!("{CHECKSUM}{}", data_encoding::HEXLOWER.encode(&Sha256::digest(text)))
}

/// Returns the text before the checksum, if the checksum is right.
fn checked(content: &str) -> Option<&str> {
    let content = content.trim_end();
    match content.rsplit_once('\n') {
        Some((text, sum)) if sum == checksum(text) => Some(text),
        Some((_, sum)) if sum.starts_with(CHECKSUM) => None,
        // A file of an earlier version. If its last line is a damaged checksum, the parser finds two lines and refuses it.
        _ => Some(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Keys {
        Keys::open(dir, &ClockAndRng::default()).unwrap()
    }

    fn same(one: &Keys, other: &Keys) -> bool {
        one.vault.to_text() == other.vault.to_text()
            && one.token_secret.expose_secret() == other.token_secret.expose_secret()
            && one.audit.public_key() == other.audit.public_key()
    }

    #[test]
    fn keys_are_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let first = open(&keys);
        assert!(same(&first, &open(&keys)));
        assert!(!same(&first, &open(&dir.path().join("others"))));
        assert_eq!(std::fs::read_to_string(keys.join(AUDIT_PUBLIC_FILE)).unwrap().trim_end(), first.audit.public_key());
    }

    #[test]
    fn a_fingerprint_tells_keys_apart_and_survives_a_new_key_of_the_vault() {
        let (mut one, other) = (Keys::generate(&ClockAndRng::default()), Keys::generate(&ClockAndRng::default()));
        let before = one.fingerprints();
        assert_eq!(before.keys().collect::<Vec<_>>(), [AUDIT_FILE, TOKEN_FILE, VAULT_FILE]);
        assert!(other.fingerprints().iter().all(|(name, fingerprint)| before[name] != *fingerprint));
        one.vault.rotate(&ClockAndRng::default());
        assert_eq!(one.fingerprints(), before);
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<Keys> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16).map(|_| scope.spawn(|| open(dir.path()))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(all.iter().all(|keys| same(keys, &all[0])));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4, "a temporary file was left behind");
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        for name in [VAULT_FILE, TOKEN_FILE, AUDIT_FILE] {
            let dir = tempfile::tempdir().unwrap();
            open(dir.path());
            std::fs::write(dir.path().join(name), "garbage").unwrap();
            let error = Keys::open(dir.path(), &ClockAndRng::default()).unwrap_err();
            assert!(matches!(error, KeysError::Corrupt { .. }) && error.to_string().contains(name), "{error}");
            assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), "garbage");
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        for name in [VAULT_FILE, TOKEN_FILE, AUDIT_FILE] {
            let dir = tempfile::tempdir().unwrap();
            open(dir.path());
            let path = dir.path().join(name);
            let content = std::fs::read(&path).unwrap();
            for place in 0..content.len() - 1 {
                let mut changed = content.clone();
                changed[place] ^= 1;
                std::fs::write(&path, &changed).unwrap();
                let opened = Keys::open(dir.path(), &ClockAndRng::default());
                assert!(matches!(opened, Err(KeysError::Corrupt { .. })), "{name}, byte {place}");
            }
        }
    }

    #[test]
    fn a_file_without_a_checksum_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path());
        for name in [VAULT_FILE, TOKEN_FILE, AUDIT_FILE] {
            let path = dir.path().join(name);
            let content = std::fs::read_to_string(&path).unwrap();
            let (text, _) = content.trim_end().rsplit_once('\n').unwrap();
            std::fs::write(&path, text).unwrap();
        }
        assert!(same(&first, &open(dir.path())));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let keys = Keys::generate(&ClockAndRng::default());
        let printed = format!("{keys:?}");
        let secrets = [BASE64.encode(keys.token_secret.expose_secret()), BASE64.encode(&keys.audit.secret()[..])];
        assert!(secrets.iter().all(|secret| !printed.contains(secret)));
        assert!(printed.contains("REDACTED") && printed.contains(&keys.audit.public_key()));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_secrets() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        open(&keys);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        std::fs::set_permissions(keys.join(TOKEN_FILE), std::fs::Permissions::from_mode(0o644)).unwrap();
        open(&keys);
        assert_eq!(mode(&keys), 0o700);
        assert_eq!([VAULT_FILE, TOKEN_FILE, AUDIT_FILE].map(|name| mode(&keys.join(name))), [0o600; 3]);
        assert_eq!(mode(&keys.join(AUDIT_PUBLIC_FILE)), 0o644);
    }
}
