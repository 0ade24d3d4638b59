//! API keys of users.

use std::time::Duration;

use hive_wire::api::{ApiKeyCreate, ApiKeyInfo, ApiKeyRotate, NewApiKey, RevokedWork};
use hive_wire::credential::user_key;
use hive_wire::{ApiKeyId, UserId};
use serde_json::json;

use super::key_limits::KeyLimits;
use super::service::IdentityService;
use super::verifier::hash_key;
use crate::access::{Credential, Permission, Principal, ResourceScope};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, record};
use crate::authorization::authorize_action;
use crate::clock::ClockAndRng;
use crate::store::{ApiKeyRow, KeyRotation, RowRange};
use crate::validate::{check_note, check_range};
use crate::{Error, Result};

/// The longest overlap of a rotation, in seconds: a week.
const MAX_OVERLAP: u32 = 7 * 24 * 3600;

impl IdentityService {
    /// Creates an API key for a user.
    pub(crate) async fn create_api_key(
        &self,
        principal: &Principal,
        user: UserId,
        key: ApiKeyCreate,
    ) -> Result<NewApiKey> {
        // The name is shown in lists and audit records of others.
        check_note("name", Some(&key.name))?;
        let (id, now) = (ApiKeyId::new(self.context.seed()), self.context.now());
        let maker = self.key_of(principal).await?;
        let KeyLimits { parent, scopes, satellite_tags, addresses, rate_per_minute, expires_at } =
            KeyLimits::checked(&key, principal, maker.as_ref(), now)?;
        let secret = key_secret(self.context.source());
        let details = json!({
            "user_id": user, "name": key.name, "scopes": scopes, "satellite_tags": satellite_tags, "addresses": addresses,
            "parent_id": parent, "expires_at": expires_at,
        });
        let row = ApiKeyRow {
            id,
            user_id: user,
            name: key.name,
            hash: hash_key(&secret, self.context.source()),
            parent,
            previous: None,
            scopes,
            satellite_tags,
            addresses,
            rate_per_minute,
            created_at: now,
            expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        let record = record(&self.context, principal, AuditAction::ApiKeyCreate, Subject::new(id), details);
        self.store.api_key_create(row.clone(), record).await?;
        Ok(NewApiKey { api_key: user_key(id, &secret), info: self.key_info(row) })
    }

    pub(super) async fn rotate_api_key(
        &self,
        principal: &Principal,
        user: UserId,
        id: ApiKeyId,
        rotate: ApiKeyRotate,
    ) -> Result<NewApiKey> {
        check_range("overlap_seconds", rotate.overlap_seconds, 0, MAX_OVERLAP)?;
        let (keys, _) = self.store.api_key_list(user, RowRange::ALL).await?;
        let key = keys.into_iter().find(|key| key.id == id).ok_or_else(|| no_api_key(id))?;
        // Limits never change, so that this check still holds when the key is rotated below.
        let own = self.key_of(principal).await?;
        if !KeyLimits::from(&key).is_within(&KeyLimits::of_caller(principal, own.as_ref())) {
            return Err(Error::Forbidden("the key may more than the one it is rotated with".into()));
        }
        let source = self.context.source();
        let (secret, now) = (key_secret(source), source.now());
        let overlap = Duration::from_secs(rotate.overlap_seconds.into());
        let overlap_until = (rotate.overlap_seconds > 0).then(|| now.plus(overlap));
        let details = json!({ "user_id": user, "overlap_until": overlap_until });
        let record = record(&self.context, principal, AuditAction::ApiKeyRotate, Subject::new(id), details);
        let rotation = KeyRotation { hash: hash_key(&secret, source), overlap_until, now };
        let rotated = self.store.api_key_rotate(id, user, rotation, record).await?;
        // Also where nothing was rotated: then the key has ended, and the streams that it opened end here.
        self.grants.revalidate(user).await;
        let row = rotated.ok_or_else(|| Error::Conflict("the API key was revoked before or has expired".into()))?;
        Ok(NewApiKey { api_key: user_key(id, &secret), info: self.key_info(row) })
    }

    pub(super) async fn revoke_api_key(&self, principal: &Principal, id: ApiKeyId) -> Result<RevokedWork> {
        let owner = self.key_owner_for(principal, id).await?;
        let details = json!({ "user_id": owner });
        let record = record(&self.context, principal, AuditAction::ApiKeyRevoke, Subject::new(id), details);
        let losses = self.store.api_key_revoke(id, owner, self.context.now(), record).await?;
        // Before the answer, so that no stream of the key goes on when the caller reads that it is revoked.
        let revoked = self.follow_losses(owner, &losses.clone().unwrap_or_default()).await;
        losses.map(|_| revoked).ok_or_else(|| no_api_key(id))
    }

    /// Returns the owner of a key that the principal may revoke: itself, or anybody with `api_keys.any`.
    pub(crate) async fn key_owner_for(&self, principal: &Principal, id: ApiKeyId) -> Result<UserId> {
        let is_for_any = authorize_any_key(principal).is_ok();
        if !is_for_any {
            authorize_action(principal, &Permission::ApiKeysOwn, ResourceScope::Own)?;
        }
        let owner = self.store.api_key_owner(id).await?.map(|owner| owner.user.id);
        // The key of somebody else looks like one that does not exist.
        owner.filter(|owner| is_for_any || principal.user() == Some(*owner)).ok_or_else(|| no_api_key(id))
    }

    /// Returns the key with which a principal acts.
    pub(super) async fn key_of(&self, principal: &Principal) -> Result<Option<ApiKeyRow>> {
        let Credential::ApiKey(id, _) = principal.credential else { return Ok(None) };
        let owner = self.store.api_key_owner(id).await?;
        // An embedding program may vouch for a key that this hive does not have: its principal has the limits that there are.
        Ok(owner.map(|owner| owner.key))
    }

    /// A key as its owner sees it.
    pub(super) fn key_info(&self, row: ApiKeyRow) -> ApiKeyInfo {
        let ApiKeyRow {
            id,
            user_id,
            name,
            hash: _,
            parent,
            previous,
            scopes,
            satellite_tags,
            addresses,
            rate_per_minute,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        } = row;
        let overlap = previous.map(|previous| previous.until);
        ApiKeyInfo {
            id,
            name,
            user_id,
            created_at,
            expires_at,
            revoked_at,
            // Uses are stored now and then; those since then are in memory.
            last_used_at: last_used_at.max(self.key_uses.get(id)),
            scopes: scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect()),
            satellites: satellite_tags.map(|tags| tags.iter().map(|tag| format!("tag:{tag}")).collect()),
            addresses,
            rate_per_minute,
            parent_id: parent,
            // The previous secret stays in its row after its end, and is of no use.
            overlap_until: overlap.filter(|until| *until > self.context.now()),
        }
    }
}

/// Checks that a principal may list and revoke the keys of all users.
pub(super) fn authorize_any_key(principal: &Principal) -> Result<()> {
    authorize_action(principal, &Permission::ApiKeysAny, ResourceScope::Platform)
}

fn key_secret(source: &ClockAndRng) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&source.random::<32>())
}

fn no_api_key(id: ApiKeyId) -> Error {
    Error::NotFound { what: "API key", id: id.to_string() }
}

#[cfg(test)]
mod tests;
