//! `hive groups`: groups of satellites.

use hive_core::HiveApi;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{Group, GroupCreate, GroupDetails, GroupFilter, GroupUpdate};
use serde_json::json;

use super::{or_empty, satellites};
use crate::args::{GroupUpdateArgs, GroupsCommand};
use crate::error::{CliError, Result};
use crate::output::Printer;
use crate::table::TextTable;
use crate::{lookup, terminal};

/// The hint after a name that is taken.
const LIST: &str = "hive groups list";

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: GroupsCommand) -> Result<()> {
    match command {
        GroupsCommand::List { team, search, order, limit } => {
            let filter = GroupFilter { team: team_id(api, team).await?, search };
            let groups = lookup::groups(api, filter, order.sort, limit.unwrap_or(usize::MAX)).await?;
            printer.show(&groups, |groups| TextTable::of(["NAME", "ID", "TEAM", "QUERY"], groups, row))
        }
        GroupsCommand::Show { group } => {
            let id = lookup::group(api, &group).await?;
            let found = api.groups().get(id).await?;
            let missing = || hive_core::Error::NotFound { what: "group", id: group };
            printer.show(&found.ok_or_else(missing)?, details)
        }
        GroupsCommand::Create { name, team, query, members } => {
            let (team_id, members) = (team_id(api, team).await?, satellite_ids(api, &members).await?);
            let created = api.groups().create(GroupCreate { name, team_id, query, members }).await;
            printer.show(&created.map_err(CliError::of_naming(LIST))?, details)
        }
        GroupsCommand::Update(args) => update(api, printer, args).await,
        GroupsCommand::Delete { group, yes } => {
            let id = lookup::group(api, &group).await?;
            if !yes {
                terminal::confirm(&format!("Remove the group {group}? Its satellites stay.")).await?;
            }
            api.groups().remove(id).await?;
            printer.report(&json!({ "id": id, "removed": true }), &format!("{group} is removed"))
        }
        GroupsCommand::Members { group } => {
            let members = lookup::satellites_of(api, lookup::group(api, &group).await?).await?;
            satellites::show_all(printer, &members)
        }
    }
}

async fn update(api: &dyn HiveApi, printer: Printer, args: GroupUpdateArgs) -> Result<()> {
    let GroupUpdateArgs { group, name, query, no_query, members, no_members, added, removed } = args;
    let has_new_members = no_members || !members.is_empty();
    let members = satellite_ids(api, &members).await?;
    let update = GroupUpdate {
        name,
        query: query.map(Some).or(no_query.then_some(None)),
        members: has_new_members.then_some(members),
        add_members: satellite_ids(api, &added).await?,
        remove_members: satellite_ids(api, &removed).await?,
    };
    if update == GroupUpdate::default() {
        let hint = "Give --name, --query, --no-query, --member, --no-members, --add-member or --remove-member";
        return Err(CliError::usage("nothing to change").with_hint(hint));
    }
    let id = lookup::group(api, &group).await?;
    let updated = api.groups().update(id, update).await.map_err(CliError::of_naming(LIST))?;
    printer.show(&updated, details)
}

async fn team_id(api: &dyn HiveApi, team: Option<String>) -> Result<Option<hive_core::wire::TeamId>> {
    match team {
        Some(team) => lookup::team(api, &team).await.map(Some),
        None => Ok(None),
    }
}

async fn satellite_ids(api: &dyn HiveApi, words: &[String]) -> Result<Vec<SatelliteId>> {
    let mut ids = Vec::with_capacity(words.len());
    for word in words {
        ids.push(match word.parse() {
            // Its satellite may be gone, and is taken off the list by its id.
            Ok(id) => id,
            Err(_) => lookup::satellite(api, word).await?.id,
        });
    }
    Ok(ids)
}

fn row(group: &Group) -> [String; 4] {
    [group.name.to_string(), group.id.to_string(), or_empty(group.team_id), or_empty(group.query.as_ref())]
}

fn details(details: &GroupDetails) -> TextTable {
    let GroupDetails { group, members, satellite_count } = details;
    let members: Vec<_> = members.iter().map(ToString::to_string).collect();
    TextTable::pairs([
        ("name", group.name.to_string()),
        ("id", group.id.to_string()),
        ("team", or_empty(group.team_id)),
        ("query", or_empty(group.query.as_ref())),
        ("members", members.join(", ")),
        ("satellites", satellite_count.to_string()),
        ("created", group.created_at.to_string()),
        ("changed", group.updated_at.to_string()),
    ])
}
