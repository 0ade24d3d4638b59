//! Identifies the hive of a store, and checks that the keys are those that sealed and signed its data.
//!
//! With other keys, sealed values cannot be opened, tokens are not valid, and exports have another signature. Each of
//! these would be noticed late and separately. So a hive with other keys does not start.

use std::path::Path;

use hive_wire::HiveId;
use serde_json::json;

use crate::audit::draft::{Subject, system_record};
use crate::audit::{AuditAction, AuditDraft};
use crate::clock::ClockAndRng;
use crate::keys;
use crate::store::{Fingerprints, HiveRow, Store};
use crate::{Error, Result};

/// What to do if the right keys are lost.
const ADVICE: &str =
    "put back the right one from a backup; if there is none, accept the loss with 'hive-server accept-keys'";

/// Fails if key files are missing, and names all of them.
pub(super) fn expect_all(dir: &Path) -> Result<()> {
    let missing = keys::missing(dir);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|path| path.display().to_string()).collect();
    Err(Error::Corrupt(
        format!("the database is in use, and its key file is missing: {}; {ADVICE}", names.join(", ")).into(),
    ))
}

/// The hive of a store.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdentifiedHive {
    pub(super) id: HiveId,
    /// Whether the store had none before.
    pub(super) is_new: bool,
}

/// The keys that a hive is opened with.
pub(super) struct KeyFileCheck<'k> {
    /// Their fingerprints; empty for keys that are generated with each start, which are not checked.
    pub(super) fingerprints: Fingerprints,
    /// The directory of their files.
    pub(super) dir: Option<&'k Path>,
    /// Whether keys are accepted that do not match the stored fingerprints.
    pub(super) accepts_others: bool,
}

impl KeyFileCheck<'_> {
    /// Returns the hive of the store. Creates one if there is none.
    pub(super) async fn identify(self, store: &dyn Store, source: &ClockAndRng) -> Result<IdentifiedHive> {
        let new = HiveRow { id: HiveId::new(source.seed()), created_at: source.now(), keys: self.fingerprints.clone() };
        let row = store.hive_create(new.clone()).await?;
        // Of several processes that start on an empty store at once, one creates the hive. The others get its row.
        if row.id == new.id {
            return Ok(IdentifiedHive { id: row.id, is_new: true });
        }
        let others = self.others(&row.keys);
        match others.is_empty() {
            true => {}
            false if self.accepts_others => store.hive_keys_set(self.fingerprints, accepted(source, &others)).await?,
            false => return Err(Error::Corrupt(self.refusal(&others).into())),
        }
        Ok(IdentifiedHive { id: row.id, is_new: false })
    }

    /// Returns the names of the keys whose fingerprints differ from the stored ones.
    fn others(&self, noted: &Fingerprints) -> Vec<String> {
        // A key without a stored fingerprint is not compared: the store never had one of it.
        let is_other = |(name, at_hand): &(&String, &String)| noted.get(*name).is_some_and(|noted| noted != *at_hand);
        self.fingerprints.iter().filter(is_other).map(|(name, _)| name.clone()).collect()
    }

    fn refusal(&self, others: &[String]) -> String {
        let path = |name: &String| self.dir.map_or_else(|| name.clone(), |dir| dir.join(name).display().to_string());
        let names: Vec<_> = others.iter().map(path).collect();
        format!("the database was written with another key than is in {}; {ADVICE}", names.join(", "))
    }
}

/// Drafts the audit record of keys that were accepted in place of the stored ones.
fn accepted(source: &ClockAndRng, names: &[String]) -> AuditDraft {
    system_record(source, AuditAction::HiveKeysAccept, Subject::new("keys"), json!({ "keys": names }))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::Hive;
    use hive_wire::api::{AuditQuery, PageRequest};

    async fn started(dir: &Path) -> Result<HiveId> {
        let hive = Hive::builder().data_dir(dir).build().await?;
        hive.shutdown().await;
        Ok(hive.id())
    }

    async fn refusal(dir: &Path) -> String {
        match started(dir).await {
            Err(Error::Corrupt(cause)) => cause.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_hive_keeps_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let id = started(&one).await.unwrap();
        assert_eq!(started(&one).await.unwrap(), id);
        assert_ne!(started(&other).await.unwrap(), id);
    }

    #[tokio::test]
    async fn a_key_file_that_is_missing_beside_a_used_database_is_named_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        started(dir.path()).await.unwrap();
        for name in ["vault.json", "token.key", "audit.key"] {
            // Each key alone: the check must not depend on one of them being read first.
            let path = dir.path().join("keys").join(name);
            let key = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let message = refusal(dir.path()).await;
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(!path.exists());
            std::fs::write(&path, key).unwrap();
        }
        started(dir.path()).await.unwrap();
        std::fs::remove_dir_all(dir.path().join("keys")).unwrap();
        let message = refusal(dir.path()).await;
        assert!(["vault.json", "token.key", "audit.key"].iter().all(|name| message.contains(name)), "{message}");
    }

    #[tokio::test]
    async fn a_key_of_another_hive_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        started(&one).await.unwrap();
        started(&other).await.unwrap();
        for name in ["vault.json", "token.key", "audit.key"] {
            let path = one.join("keys").join(name);
            let right = std::fs::read(&path).unwrap();
            std::fs::copy(other.join("keys").join(name), &path).unwrap();
            let message = refusal(&one).await;
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert_eq!(message.matches("one/keys/").count(), 1, "{message}");
            std::fs::write(&path, right).unwrap();
        }
        started(&one).await.unwrap();
    }

    #[tokio::test]
    async fn a_loss_that_is_accepted_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let id = started(dir.path()).await.unwrap();
        std::fs::remove_file(dir.path().join("keys/token.key")).unwrap();
        let hive = Hive::builder().data_dir(dir.path()).accept_other_keys().build().await.unwrap();
        let query = AuditQuery { action: Some("hive.keys_accept".into()), ..AuditQuery::default() };
        let records = hive.as_system().audit().query(query, PageRequest::default()).await.unwrap();
        assert_eq!(records.items[0].details["keys"], json!(["token.key"]));
        hive.shutdown().await;
        assert_eq!(started(dir.path()).await.unwrap(), id);
    }
}
