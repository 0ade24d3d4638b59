//! API keys of users.

use std::collections::BTreeSet;

use hive_wire::api::{ApiKeyCreate, ApiKeyInfo, NewApiKey};
use hive_wire::credential::user_key;
use hive_wire::{ApiKeyId, UserId};
use serde_json::json;

use super::service::IdentityService;
use super::verifier::hash_key;
use crate::access::{Permission, Principal};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, record};
use crate::clock::ClockAndRng;
use crate::store::ApiKeyRow;
use crate::validate::{check_hours, check_note};
use crate::{Error, Result};

/// The longest life of an API key that has an end: ten years, in hours.
const MAX_KEY_HOURS: u32 = 10 * 365 * 24;

impl IdentityService {
    /// Creates an API key for a user.
    pub(crate) async fn create_api_key(
        &self,
        principal: &Principal,
        user: UserId,
        key: ApiKeyCreate,
    ) -> Result<NewApiKey> {
        check_note("name", Some(&key.name))?;
        let (id, now) = (ApiKeyId::new(self.context.seed()), self.context.now());
        let life = key.expires_in_hours.map(|hours| check_hours(hours, MAX_KEY_HOURS)).transpose()?;
        let secret = key_secret(self.context.source());
        let row = ApiKeyRow {
            id,
            user_id: user,
            name: key.name,
            hash: hash_key(&secret, self.context.source()),
            // A key that is created with a key has no more rights than that.
            scopes: principal.scopes.clone(),
            created_at: now,
            expires_at: life.map(|life| now.plus(life)),
            revoked_at: None,
        };
        let details = json!({ "user_id": user, "name": row.name });
        let record = record(&self.context, principal, AuditAction::ApiKeyCreate, Subject::new(id), details);
        self.store.api_key_create(row.clone(), record).await?;
        Ok(NewApiKey { api_key: user_key(id, &secret), info: info(row) })
    }

    pub(super) async fn list_api_keys(&self, user: UserId) -> Result<Vec<ApiKeyInfo>> {
        let rows = self.store.api_key_list(user).await?;
        Ok(rows.into_iter().map(info).collect())
    }

    pub(super) async fn rotate_api_key(&self, principal: &Principal, user: UserId, id: ApiKeyId) -> Result<NewApiKey> {
        let keys = self.store.api_key_list(user).await?;
        let key = keys.into_iter().find(|key| key.id == id).ok_or_else(|| no_api_key(id))?;
        // Scopes never change, so that this check still holds when the key is rotated below.
        if !may_no_more_than(key.scopes.as_ref(), principal.scopes.as_ref()) {
            return Err(Error::Forbidden("the key may more than the one it is rotated with".into()));
        }
        let source = self.context.source();
        let secret = key_secret(source);
        let details = json!({ "user_id": user });
        let record = record(&self.context, principal, AuditAction::ApiKeyRotate, Subject::new(id), details);
        let rotated = self.store.api_key_rotate(id, user, hash_key(&secret, source), source.now(), record).await?;
        // Also where nothing was rotated: then the key has ended, and the streams that it opened end here.
        self.grants.revalidate(user).await;
        let row = rotated.ok_or_else(|| Error::Conflict("the API key was revoked before or has expired".into()))?;
        Ok(NewApiKey { api_key: user_key(id, &secret), info: info(row) })
    }

    pub(super) async fn revoke_api_key(&self, principal: &Principal, user: UserId, id: ApiKeyId) -> Result<()> {
        let record = record(&self.context, principal, AuditAction::ApiKeyRevoke, Subject::new(id), json!({}));
        let is_revoked = self.store.api_key_revoke(id, user, self.context.now(), record).await?;
        // Before the answer, so that no stream of the key goes on when the caller reads that it is revoked.
        self.grants.revalidate(user).await;
        is_revoked.then_some(()).ok_or_else(|| no_api_key(id))
    }
}

fn key_secret(source: &ClockAndRng) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&source.random::<32>())
}

/// Returns whether a key has no more rights than another.
fn may_no_more_than(key: Option<&BTreeSet<Permission>>, other: Option<&BTreeSet<Permission>>) -> bool {
    match (key, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(key), Some(other)) => key.is_subset(other),
    }
}

fn no_api_key(id: ApiKeyId) -> Error {
    Error::NotFound { what: "API key", id: id.to_string() }
}

fn info(row: ApiKeyRow) -> ApiKeyInfo {
    let ApiKeyRow { id, user_id, name, hash: _, scopes: _, created_at, expires_at, revoked_at } = row;
    ApiKeyInfo { id, name, user_id, created_at, expires_at, revoked_at }
}
