//! `hive api-keys`: one's own API keys.

use hive_core::wire::api::{ApiKeyCreate, ApiKeyInfo};
use serde_json::json;

use super::or_empty;
use crate::args::ApiKeysCommand;
use crate::error::Result;
use crate::output::Printer;
use crate::table::TextTable;
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: ApiKeysCommand) -> Result<()> {
    match command {
        ApiKeysCommand::Create { name, expires_in_hours } => {
            let new = api.identity().api_key_create(ApiKeyCreate { name, expires_in_hours }).await?;
            // Only the key, so that a script can store the output.
            printer.report(&new, &new.api_key)
        }
        ApiKeysCommand::List => {
            let keys = api.identity().api_key_list().await?;
            printer.show(&keys, |keys| TextTable::of(["ID", "NAME", "CREATED", "EXPIRES", "REVOKED"], keys, row))
        }
        ApiKeysCommand::Rotate { id } => {
            let new = api.identity().api_key_rotate(id).await?;
            printer.report(&new, &new.api_key)
        }
        ApiKeysCommand::Revoke { id } => {
            api.identity().api_key_revoke(id).await?;
            printer.report(&json!({ "id": id, "revoked": true }), &format!("{id} is revoked"))
        }
    }
}

fn row(key: &ApiKeyInfo) -> [String; 5] {
    let (expires, revoked) = (or_empty(key.expires_at), or_empty(key.revoked_at));
    [key.id.to_string(), key.name.clone(), key.created_at.to_string(), expires, revoked]
}
