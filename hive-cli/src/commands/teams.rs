//! `hive teams`, and who is in them.

use hive_core::Error;
use hive_core::wire::api::{Team, TeamCreate, TeamMember, TeamMemberPut};
use serde_json::json;

use super::word;
use crate::args::{MembersCommand, TeamsCommand};
use crate::failure::{Failure, Result};
use crate::find;
use crate::output::Output;
use crate::table::Table;
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, output: Output, command: TeamsCommand) -> Result<()> {
    match command {
        TeamsCommand::Create { slug } => {
            let team = api.identity().team_create(TeamCreate { slug }).await;
            let team = team.map_err(Failure::of_naming("hive teams list"))?;
            output.show(&team, |team| table(std::slice::from_ref(team)))
        }
        TeamsCommand::List => output.show(&api.identity().team_list().await?, |teams| table(teams)),
        TeamsCommand::Members(command) => members(api, output, command).await,
    }
}

async fn members(api: &dyn HiveApi, output: Output, command: MembersCommand) -> Result<()> {
    match command {
        MembersCommand::List { team } => {
            let team = find::team(api, &team).await?;
            show(output, &api.identity().team_member_list(team).await?)
        }
        MembersCommand::Add { team, users, role } => {
            let team = find::team(api, &team).await?;
            let mut added = Vec::new();
            for username in users {
                let member = TeamMemberPut { username, role: role.into() };
                added.push(api.identity().team_member_put(team, member).await?);
            }
            show(output, &added)
        }
        MembersCommand::Remove { team, users } => {
            let id = find::team(api, &team).await?;
            let members = api.identity().team_member_list(id).await?;
            // All of them are known before the first one is taken out.
            let found: Result<Vec<_>> = users.iter().map(|word| member(&members, word, &team)).collect();
            let found = found?;
            for member in &found {
                api.identity().team_member_remove(id, member.user_id).await?;
            }
            let names: Vec<_> = found.iter().map(|member| member.username.as_str()).collect();
            let sentence = format!("{} is not in {team} any more", names.join(", "));
            output.tell(&json!({ "team": id, "removed": names }), &sentence)
        }
    }
}

fn member<'m>(members: &'m [TeamMember], word: &str, team: &str) -> Result<&'m TeamMember> {
    let found = members.iter().find(|member| member.username == word || member.user_id.to_string() == word);
    found.ok_or_else(|| {
        Failure::from(Error::NotFound { what: "user", id: format!("{word} in {team}") })
            .with_hint(format!("See who is in it with `hive teams members list {team}`"))
    })
}

fn show(output: Output, members: &[TeamMember]) -> Result<()> {
    output.show(members, |members| {
        Table::of(["USERNAME", "ID", "ROLE"], members, |member| {
            [member.username.clone(), member.user_id.to_string(), word(&member.role)]
        })
    })
}

fn table(teams: &[Team]) -> Table {
    Table::of(["TEAM", "ID", "CREATED"], teams, |team| {
        [team.slug.clone(), team.id.to_string(), team.created_at.to_string()]
    })
}
