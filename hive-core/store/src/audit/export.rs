//! The export of the audit log: one JSON line per record, and a signed manifest as the last line.
//!
//! With the public key of the hive, the file can be verified offline. Without it, only the key that the file itself names can
//! be used, which detects accidents and no forgery.

use std::io::{self, BufRead, Read};

use hive_wire::Timestamp;
use hive_wire::api::{AuditExportLine, AuditManifest, AuditVerification, ChainFault};
use tokio::sync::mpsc;

use super::AuditRecord;
use super::chain::{ChainVerifier, GENESIS_HASH};
use super::signer::{self, AuditSigner};
use super::store::AuditStore;
use crate::{StoreError, StoreResult};

/// The version of the file format.
const VERSION: u32 = 1;
/// Records that are read from the store at once.
const BATCH: u32 = 500;
/// The most bytes of a line. A longer one is skipped and reported as unreadable.
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// Why a file could not be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("cannot read the exported file")]
    Read(#[from] io::Error),
    /// The pinned public key is not one.
    #[error("not an Ed25519 public key in base64")]
    InvalidKey,
    /// A newer program wrote it.
    #[error("the exported file has version {0}, which this program does not know")]
    UnknownVersion(u32),
}

/// Sends the whole log, and its manifest as the last line. Ends early if the receiver is dropped.
pub async fn export_log(
    store: &dyn AuditStore,
    signer: &AuditSigner,
    now: Timestamp,
    lines: &mpsc::Sender<AuditExportLine>,
) -> StoreResult<()> {
    let (mut first_seq, mut last_seq, mut head_hash) = (0, 0, GENESIS_HASH.to_owned());
    loop {
        let batch = store.audit_records(last_seq + 1, BATCH).await?;
        // Fewer than asked for: it is the end of the log.
        let is_last = batch.len() < BATCH as usize;
        for AuditRecord { seq, record, previous_hash, hash } in batch {
            if first_seq > 0 && seq > last_seq + 1 && is_pruned(store, last_seq).await? {
                // Without a manifest the file is not taken for a whole one.
                return Err(StoreError::Unavailable(
                    "the audit log was pruned during the export; export it again".into(),
                ));
            }
            first_seq = if first_seq == 0 { seq } else { first_seq };
            (last_seq, head_hash) = (seq, hash.clone());
            if lines.send(AuditExportLine::Record { seq, previous_hash, hash, record }).await.is_err() {
                return Ok(());
            }
        }
        if is_last {
            break;
        }
    }
    let public_key = signer.public_key();
    let manifest = AuditManifest { version: VERSION, first_seq, last_seq, head_hash, exported_at: now, public_key };
    // The receiver may be gone.
    lines.send(sign(signer, &manifest)).await.ok();
    Ok(())
}

/// Whether a record that was there is deleted now, by another process. Otherwise a gap behind it is a fault of the log, which
/// the file has to show.
async fn is_pruned(store: &dyn AuditStore, seq: u64) -> StoreResult<bool> {
    Ok(store.audit_records(seq, 1).await?.first().is_none_or(|record| record.seq != seq))
}

fn sign(signer: &AuditSigner, manifest: &AuditManifest) -> AuditExportLine {
    let manifest = serde_json::to_string(manifest).expect("a manifest is plain data");
    let signature = signer.sign(&manifest);
    AuditExportLine::Manifest { manifest, signature }
}

/// Reads an exported file line by line. Returns the number of each line, from 1, and its content, or `None` if it cannot be
/// read.
pub fn read_export(reader: impl BufRead) -> impl Iterator<Item = io::Result<(u64, Option<AuditExportLine>)>> {
    let mut lines = LineReader { reader, number: 0 };
    std::iter::from_fn(move || lines.next().transpose())
}

struct LineReader<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> LineReader<R> {
    fn next(&mut self) -> io::Result<Option<(u64, Option<AuditExportLine>)>> {
        loop {
            let mut line = Vec::new();
            if self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            // A line of exactly the limit with its line feed is complete.
            let is_too_long = line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n');
            if is_too_long {
                self.reader.skip_until(b'\n')?;
                return Ok(Some((self.number, None)));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some((self.number, serde_json::from_slice(&line).ok())));
            }
        }
    }
}

/// Verifies an exported file in constant memory.
///
/// With a pinned public key in base64, the manifest must be signed by it. Without one, the key that the manifest names is used,
/// which detects accidents and no forgery.
pub fn verify_export(reader: impl BufRead, pinned_public_key: Option<&str>) -> Result<AuditVerification, ExportError> {
    let pinned = pinned_public_key
        .map(|key| signer::public_key(key).map(|_| key.trim()).ok_or(ExportError::InvalidKey))
        .transpose()?;
    let mut verifier = ChainVerifier::new();
    if let Some(key) = pinned {
        verifier.trust(key);
    }
    let mut manifest = None;
    for line in read_export(reader) {
        match line? {
            (_, Some(AuditExportLine::Record { seq, previous_hash, hash, record })) if manifest.is_none() => {
                verifier.add(&AuditRecord { seq, record, previous_hash, hash });
            }
            // The manifest is the last line. Records after it were added later.
            (_, Some(AuditExportLine::Record { seq, .. })) => verifier.note(ChainFault::Inserted { seq }),
            (_, Some(AuditExportLine::Manifest { manifest: text, signature })) if manifest.is_none() => {
                manifest = Some((text, signature));
            }
            (number, _) => verifier.add_unreadable(number),
        }
    }
    finish(verifier, manifest, pinned)
}

fn finish(
    mut verifier: ChainVerifier,
    manifest: Option<(String, String)>,
    pinned: Option<&str>,
) -> Result<AuditVerification, ExportError> {
    let Some((text, signature)) = manifest else {
        verifier.note(ChainFault::ManifestMissing);
        return Ok(verifier.finish(None));
    };
    let Some(manifest) = verified_manifest(&text, &signature, pinned) else {
        verifier.note(ChainFault::ManifestForged);
        return Ok(verifier.finish(None));
    };
    // Checked after the signature: an unsigned version number means nothing.
    if manifest.version != VERSION {
        return Err(ExportError::UnknownVersion(manifest.version));
    }
    Ok(AuditVerification { public_key: Some(manifest.public_key.clone()), ..verifier.finish(Some(&manifest)) })
}

/// Returns the manifest if its signature is valid, by the pinned key or else by the key that it names.
fn verified_manifest(text: &str, signature: &str, pinned: Option<&str>) -> Option<AuditManifest> {
    let manifest: AuditManifest = serde_json::from_str(text).ok()?;
    let is_expected_key = pinned.is_none_or(|pinned| pinned == manifest.public_key);
    let key = signer::public_key(&manifest.public_key)?;
    (is_expected_key && signer::is_signed(&key, text, signature)).then_some(manifest)
}

#[cfg(test)]
mod tests;
