//! `hive teams`: teams and their members.

use hive_core::wire::api::{Team, TeamCreate, TeamMember, TeamMemberPut, TeamUpdate};
use hive_core::{Error, HiveApi};
use serde_json::json;

use super::{addresses, wire_name};
use crate::args::{MembersCommand, TeamsCommand};
use crate::error::{CliError, Result};
use crate::lookup;
use crate::output::Printer;
use crate::table::TextTable;
use hive_core::lists::collect;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: TeamsCommand) -> Result<()> {
    match command {
        TeamsCommand::Create { slug } => {
            let team = api.identity().team_create(TeamCreate { slug }).await;
            let team = team.map_err(CliError::of_naming("hive teams list"))?;
            printer.show(&team, |team| table(std::slice::from_ref(team)))
        }
        TeamsCommand::List(order) => {
            let identity = api.identity();
            let teams = collect(usize::MAX, order.sort, |page| identity.team_page(page)).await?;
            printer.show(&teams, |teams| table(teams))
        }
        TeamsCommand::Update { team, team_user } => {
            let id = lookup::team(api, &team).await?;
            let updated = api.identity().team_update(id, TeamUpdate { team_user: Some(team_user.into()) }).await?;
            printer.show(&updated, |team| table(std::slice::from_ref(&team.value)))
        }
        TeamsCommand::Addresses(args) => addresses::of_team(api, printer, args).await,
        TeamsCommand::Members(command) => members(api, printer, command).await,
    }
}

async fn members(api: &dyn HiveApi, printer: Printer, command: MembersCommand) -> Result<()> {
    match command {
        MembersCommand::List { team } => {
            let team = lookup::team(api, &team).await?;
            show(printer, &api.identity().team_member_list(team).await?)
        }
        MembersCommand::Add { team, users, role } => {
            let team = lookup::team(api, &team).await?;
            let mut added = Vec::new();
            for username in users {
                // A put: adding a member again changes the role.
                let member = TeamMemberPut { username, role: role.into() };
                added.push(api.identity().team_member_put(team, member).await?.value);
            }
            show(printer, &added)
        }
        MembersCommand::Remove { team, users } => {
            let id = lookup::team(api, &team).await?;
            let members = api.identity().team_member_list(id).await?;
            // All names are checked before the first member is removed: a mistyped one changes nothing.
            let members_to_remove: Result<Vec<_>> = users.iter().map(|word| member(&members, word, &team)).collect();
            let members_to_remove = members_to_remove?;
            let mut revoked = Vec::new();
            for member in &members_to_remove {
                revoked.push(api.identity().team_member_remove(id, member.user_id).await?);
            }
            let names: Vec<_> = members_to_remove.iter().map(|member| member.username.as_str()).collect();
            let sentence = format!("{} is not in {team} any more", names.join(", "));
            printer.report(&json!({ "team": id, "removed": names, "revoked": revoked }), &sentence)
        }
    }
}

fn member<'m>(members: &'m [TeamMember], word: &str, team: &str) -> Result<&'m TeamMember> {
    let found = members.iter().find(|member| member.username == word || member.user_id.to_string() == word);
    found.ok_or_else(|| {
        CliError::from(Error::NotFound { what: "user", id: format!("{word} in {team}") })
            .with_hint(format!("See who is in it with `hive teams members list {team}`"))
    })
}

fn show(printer: Printer, members: &[TeamMember]) -> Result<()> {
    printer.show(members, |members| {
        TextTable::of(["USERNAME", "ID", "ROLE"], members, |member| {
            [member.username.clone(), member.user_id.to_string(), wire_name(&member.role)]
        })
    })
}

fn table(teams: &[Team]) -> TextTable {
    TextTable::of(["TEAM", "ID", "CREATED", "TEAM USERS"], teams, |team| {
        [team.slug.clone(), team.id.to_string(), team.created_at.to_string(), wire_name(&team.team_user)]
    })
}
