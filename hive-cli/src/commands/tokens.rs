//! `hive tokens`: registration tokens.

use hive_core::wire::api::{RegistrationTokenCreate, RegistrationTokenInfo};
use serde_json::json;

use super::wire_name;
use crate::args::{Scope, TokensCommand, TokensCreateArgs};
use crate::error::Result;
use crate::lookup;
use crate::output::Printer;
use crate::table::TextTable;
use hive_core::HiveApi;
use hive_core::lists::collect;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: TokensCommand) -> Result<()> {
    match command {
        TokensCommand::Create(args) => create(api, printer, args).await,
        TokensCommand::List(order) => {
            let identity = api.identity();
            let tokens = collect(usize::MAX, order.sort, |page| identity.registration_token_page(page)).await?;
            let heading = ["ID", "SCOPE", "BY", "EXPIRES", "STATE", "DESCRIPTION"];
            printer.show(&tokens, |tokens| TextTable::of(heading, tokens, row))
        }
        TokensCommand::Revoke { id } => {
            api.identity().registration_token_revoke(id).await?;
            printer.report(&json!({ "id": id, "token_id": id, "revoked": true }), &format!("{id} is revoked"))
        }
    }
}

async fn create(api: &dyn HiveApi, printer: Printer, args: TokensCreateArgs) -> Result<()> {
    let satellite = match &args.for_satellite {
        Some(satellite) => Some(lookup::satellite(api, satellite).await?),
        None => None,
    };
    let team_id = match (&args.team, &satellite) {
        (_, Some(satellite)) => satellite.team_id,
        (Some(team), None) => Some(lookup::team(api, team).await?),
        (None, None) => None,
    };
    let scope = args.scope.unwrap_or(if team_id.is_some() { Scope::Team } else { Scope::Global });
    let request = RegistrationTokenCreate {
        scope: scope.into(),
        team_id,
        expires_in_hours: args.expires_in_hours,
        description: args.description,
        for_satellite: satellite.map(|satellite| satellite.id),
        tags: args.tag,
        allowed_tags: args.allow_tag,
    };
    let new = api.identity().registration_token_create(request).await?;
    // The bare token: `hive tokens create | satellite-agent --registration-token-file - …`.
    printer.report(&new, &new.token)
}

fn row(token: &RegistrationTokenInfo) -> [String; 6] {
    let state = match (token.used_at, token.revoked_at) {
        (Some(_), _) => "used",
        (None, Some(_)) => "revoked",
        (None, None) => "open",
    };
    let (id, scope, expires) = (token.token_id.to_string(), wire_name(&token.scope), token.expires_at.to_string());
    [id, scope, token.created_by.clone(), expires, state.into(), token.description.clone().unwrap_or_default()]
}
