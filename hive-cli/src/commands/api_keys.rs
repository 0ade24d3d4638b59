//! `hive api-keys`: one's own API keys.

use hive_core::wire::api::{ApiKeyCreate, ApiKeyInfo};
use serde_json::json;

use super::shown;
use crate::args::ApiKeysCommand;
use crate::failure::Result;
use crate::output::Output;
use crate::table::Table;
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, output: Output, command: ApiKeysCommand) -> Result<()> {
    match command {
        ApiKeysCommand::Create { name, expires_in_hours } => {
            let new = api.identity().api_key_create(ApiKeyCreate { name, expires_in_hours }).await?;
            output.tell(&new, &new.api_key)
        }
        ApiKeysCommand::List => {
            let keys = api.identity().api_key_list().await?;
            output.show(&keys, |keys| Table::of(["ID", "NAME", "CREATED", "EXPIRES", "REVOKED"], keys, row))
        }
        ApiKeysCommand::Rotate { id } => {
            let new = api.identity().api_key_rotate(id).await?;
            output.tell(&new, &new.api_key)
        }
        ApiKeysCommand::Revoke { id } => {
            api.identity().api_key_revoke(id).await?;
            output.tell(&json!({ "id": id, "revoked": true }), &format!("{id} is revoked"))
        }
    }
}

fn row(key: &ApiKeyInfo) -> [String; 5] {
    let (expires, revoked) = (shown(key.expires_at), shown(key.revoked_at));
    [key.id.to_string(), key.name.clone(), key.created_at.to_string(), expires, revoked]
}
