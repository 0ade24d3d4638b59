//! `hive api-keys`: one's own API keys.

use hive_core::wire::api::{ApiKeyCreate, ApiKeyFilter, ApiKeyInfo, ApiKeyRotate, RevokedWork};
use serde_json::json;

use super::or_empty;
use crate::args::{ApiKeysCommand, ApiKeysCreateArgs};
use crate::error::Result;
use crate::lookup;
use crate::output::Printer;
use crate::table::TextTable;
use hive_core::HiveApi;
use hive_core::lists::collect;

const HEADER: [&str; 8] = ["ID", "NAME", "CREATED", "LAST USED", "EXPIRES", "REVOKED", "LIMITED TO", "MADE WITH"];

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: ApiKeysCommand) -> Result<()> {
    match command {
        ApiKeysCommand::Create(args) => {
            let new = api.identity().api_key_create(request(args)).await?;
            // Only the key, so that a script can store the output.
            printer.report(&new, &new.api_key)
        }
        ApiKeysCommand::List { user, order } => {
            let user_id = match user {
                Some(user) => Some(lookup::user(api, &user).await?.id),
                None => None,
            };
            let (identity, filter) = (api.identity(), ApiKeyFilter { user_id });
            let keys = collect(usize::MAX, order.sort, |page| identity.api_key_page(filter.clone(), page)).await?;
            printer.show(&keys, |keys| TextTable::of(HEADER, keys, row))
        }
        ApiKeysCommand::Rotate { id, overlap } => {
            let seconds = overlap.unwrap_or_default().as_secs();
            let rotate = ApiKeyRotate { overlap_seconds: seconds.try_into().unwrap_or(u32::MAX) };
            let new = api.identity().api_key_rotate(id, rotate).await?;
            printer.report(&new, &new.api_key)
        }
        ApiKeysCommand::Revoke { id } => {
            let with_it = api.identity().api_key_revoke(id).await?;
            let sentence = format!("{id} is revoked{}", with(&with_it));
            printer.report(&json!({ "id": id, "revoked": true, "with_it": with_it }), &sentence)
        }
    }
}

/// What the key is to be limited to. An option that is not given limits nothing.
fn request(args: ApiKeysCreateArgs) -> ApiKeyCreate {
    let ApiKeysCreateArgs { name, scope, satellites, address, expires_in, expires_in_hours, rate_per_minute } = args;
    let given = |list: Vec<String>| (!list.is_empty()).then_some(list);
    ApiKeyCreate {
        name,
        expires_in_hours: expires_in.or(expires_in_hours),
        scopes: given(scope),
        satellites: given(satellites),
        addresses: given(address),
        rate_per_minute,
    }
}

/// Says what was revoked together with something, where there was anything.
pub(super) fn with(revoked: &RevokedWork) -> String {
    let RevokedWork { commands, job_targets, registration_tokens, api_keys } = *revoked;
    let parts = [
        (commands, "queued commands"),
        (job_targets, "job targets"),
        (registration_tokens, "registration tokens"),
        (api_keys, "API keys"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, of)| format!("{count} {of}")).collect();
    if parts.is_empty() { String::new() } else { format!(", with {}", parts.join(", ")) }
}

fn row(key: &ApiKeyInfo) -> [String; 8] {
    let limits = [&key.scopes, &key.satellites, &key.addresses].into_iter().flatten().flatten();
    let limits: Vec<_> = limits.map(String::as_str).collect();
    [
        key.id.to_string(),
        key.name.clone(),
        key.created_at.to_string(),
        or_empty(key.last_used_at),
        or_empty(key.expires_at),
        or_empty(key.revoked_at),
        limits.join(" "),
        or_empty(key.parent_id),
    ]
}
