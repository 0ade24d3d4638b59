//! The keys with which a key was made: its calls count against their rates too, so that many keys call no more often than the one that
//! made them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hive_wire::ApiKeyId;

use super::service::IdentityService;
use crate::Result;
use crate::store::ApiKeyRow;
use crate::sync::lock;

/// Keys whose ancestors are remembered; then all are forgotten and read anew.
const MAX_REMEMBERED: usize = 4096;

/// The rates of the keys with which a key was made.
pub(crate) type AncestorRates = Arc<[(ApiKeyId, u32)]>;

/// The rates of ancestors that were read before. Neither a parent nor a rate ever changes.
#[derive(Debug, Default)]
pub(super) struct KeyAncestors(Mutex<HashMap<ApiKeyId, AncestorRates>>);

impl IdentityService {
    /// Returns the rates of the keys with which a key was made, the nearest first.
    pub(super) async fn ancestor_rates(&self, key: &ApiKeyRow) -> Result<AncestorRates> {
        // A key that was made with one that has a rate has a rate itself.
        if key.rate_per_minute.is_none() || key.parent.is_none() {
            return Ok(Arc::default());
        }
        if let Some(known) = lock(&self.key_ancestors.0).get(&key.id) {
            return Ok(known.clone());
        }
        let (mut rates, mut parent) = (Vec::new(), key.parent);
        while let Some(id) = parent {
            let Some(owner) = self.store.api_key_owner(id).await? else { break };
            rates.extend(owner.key.rate_per_minute.map(|rate| (id, rate)));
            parent = owner.key.parent;
        }
        let rates = AncestorRates::from(rates);
        let mut remembered = lock(&self.key_ancestors.0);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key.id, rates.clone());
        Ok(rates)
    }
}
