//! `hive teams`.

use hive_core::Identity;
use hive_core::wire::api::{Team, TeamCreate};

use crate::api::Api;
use crate::args::TeamsCommand;
use crate::failure::Result;
use crate::output::Output;
use crate::table::Table;

pub(super) async fn run(api: &dyn Api, output: Output, command: TeamsCommand) -> Result<()> {
    match command {
        TeamsCommand::Create { slug } => {
            let team = Identity::team_create(api, TeamCreate { slug }).await?;
            output.show(&team, |team| table(std::slice::from_ref(team)))
        }
        TeamsCommand::List => output.show(&Identity::team_list(api).await?, |teams| table(teams)),
    }
}

fn table(teams: &[Team]) -> Table {
    Table::of(["ID", "TEAM", "CREATED"], teams, |team| {
        [team.id.to_string(), team.slug.clone(), team.created_at.to_string()]
    })
}
