//! `hive satellites`.

use std::collections::BTreeMap;

use hive_core::wire::api::{Satellite, SatelliteFilter, SatelliteUpdate};
use serde::Serialize;
use serde_json::json;

use super::{addresses, or_empty, wire_name};
use crate::args::{ListArgs, SatellitesCommand, UpdateArgs};
use crate::error::{CliError, Result};
use crate::output::Printer;
use crate::table::TextTable;
use crate::{lookup, terminal};
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, printer: Printer, command: SatellitesCommand) -> Result<()> {
    match command {
        SatellitesCommand::List(args) => list(api, printer, args).await,
        SatellitesCommand::Get { satellite } => printer.show(&lookup::satellite(api, &satellite).await?, details),
        SatellitesCommand::Update(args) => update(api, printer, args).await,
        SatellitesCommand::Tags => tags(api, printer).await,
        SatellitesCommand::Addresses(args) => addresses::of_satellite(api, printer, args).await,
        SatellitesCommand::Disconnect { satellite } => {
            let satellite = lookup::satellite(api, &satellite).await?;
            api.satellites().mark_offline(satellite.id).await?;
            let sentence = format!("the link of {} is closed; the satellite reconnects by itself", satellite.name);
            printer.report(&json!({ "id": satellite.id, "disconnected": true }), &sentence)
        }
        SatellitesCommand::Remove { satellite, yes } => {
            let satellite = lookup::satellite(api, &satellite).await?;
            if !yes {
                terminal::confirm(&format!(
                    "Remove {}? Its key is revoked at once, and it must register again.",
                    satellite.name
                ))
                .await?;
            }
            api.satellites().remove(satellite.id).await?;
            printer.report(&json!({ "id": satellite.id, "removed": true }), &format!("{} is removed", satellite.name))
        }
    }
}

async fn list(api: &dyn HiveApi, printer: Printer, args: ListArgs) -> Result<()> {
    let ListArgs { tags, online, status, search, team, group, order, limit } = args;
    let team_id = match team {
        Some(team) => Some(lookup::team(api, &team).await?),
        None => None,
    };
    let group = group.map(|group| group.parse()).transpose().map_err(|error| CliError::usage(format!("{error}")))?;
    let filter = SatelliteFilter { online, status: status.map(Into::into), tags, search, team_id, group };
    let satellites = lookup::some(api, filter, order.sort, limit.unwrap_or(usize::MAX)).await?;
    show_all(printer, &satellites)
}

/// Writes a list of satellites.
pub(super) fn show_all(printer: Printer, satellites: &[Satellite]) -> Result<()> {
    printer.show(satellites, |satellites| {
        TextTable::of(["NAME", "ID", "STATUS", "ONLINE", "TAGS", "HOST", "OS"], satellites, row)
    })
}

/// A tag and the number of its satellites.
#[derive(Debug, Default, Serialize)]
struct TagUsage {
    tag: String,
    satellites: usize,
    online: usize,
}

async fn tags(api: &dyn HiveApi, printer: Printer) -> Result<()> {
    let mut tags: BTreeMap<String, TagUsage> = BTreeMap::new();
    for satellite in lookup::all(api, SatelliteFilter::default()).await? {
        for tag in satellite.tags {
            let entry = tags.entry(tag.clone()).or_insert_with(|| TagUsage { tag, ..TagUsage::default() });
            entry.satellites += 1;
            entry.online += usize::from(satellite.online);
        }
    }
    let tags: Vec<TagUsage> = tags.into_values().collect();
    printer.show(&tags, |tags| {
        TextTable::of(["TAG", "SATELLITES", "CONNECTED"], tags, |tag| {
            [tag.tag.clone(), tag.satellites.to_string(), tag.online.to_string()]
        })
    })
}

async fn update(api: &dyn HiveApi, printer: Printer, args: UpdateArgs) -> Result<()> {
    let changes_tags = !args.added_tags.is_empty() || !args.removed_tags.is_empty();
    let has_new_tags = args.no_tags || !args.tags.is_empty();
    let team_id = match args.team {
        Some(team) => Some(Some(lookup::team(api, &team).await?)),
        None => args.no_team.then_some(None),
    };
    let update = SatelliteUpdate {
        name: args.name,
        tags: has_new_tags.then_some(args.tags),
        status: args.status.map(Into::into),
        region: args.region,
        team_id,
    };
    if update == SatelliteUpdate::default() && !changes_tags {
        return Err(CliError::usage("nothing to change")
            .with_hint("Give --name, --tag, --add-tag, --remove-tag, --status, --region or --team"));
    }
    let satellite = lookup::satellite(api, &args.satellite).await?;
    // The API replaces the whole list, so it is read first. Two such updates at the same moment may undo one another.
    let tags = changes_tags.then(|| apply_tag_changes(&satellite.tags, args.added_tags, &args.removed_tags));
    let update = SatelliteUpdate { tags: tags.or(update.tags), ..update };
    let list = format!("hive satellites get {}", or_empty(update.name.as_ref()));
    let updated = api.satellites().update(satellite.id, update).await.map_err(CliError::of_naming(&list))?;
    printer.show(&updated, details)
}

/// Adds and removes tags.
fn apply_tag_changes(tags: &[String], added: Vec<String>, removed: &[String]) -> Vec<String> {
    let mut changed: Vec<String> = tags.iter().filter(|tag| !removed.contains(tag)).cloned().collect();
    for tag in added {
        if !changed.contains(&tag) {
            changed.push(tag);
        }
    }
    changed
}

fn row(satellite: &Satellite) -> [String; 7] {
    [
        satellite.name.to_string(),
        satellite.id.to_string(),
        wire_name(&satellite.status),
        yes_or_no(satellite.online),
        satellite.tags.join(","),
        satellite.system.hostname.clone(),
        format!("{}/{}", satellite.system.os, satellite.system.arch),
    ]
}

fn details(satellite: &Satellite) -> TextTable {
    let system = &satellite.system;
    let problems = satellite.problems.iter().map(|problem| ("problem", problem.clone()));
    // Rows that are shown only where there is something to act on.
    let conflict = satellite.conflict_at.map(|at| {
        ("conflict", format!("{at}: a second process with its identity was refused; is its machine copied?"))
    });
    let claimed = Some(("claimed tags", satellite.claimed_tags.join(", "))).filter(|(_, tags)| !tags.is_empty());
    let pairs = [
        ("name", satellite.name.to_string()),
        ("id", satellite.id.to_string()),
        ("type", wire_name(&satellite.satellite_type)),
        ("team", or_empty(satellite.team_id)),
        ("status", wire_name(&satellite.status)),
        ("online", yes_or_no(satellite.online)),
        ("last seen", or_empty(satellite.last_seen)),
        ("tags", satellite.tags.join(", ")),
        ("region", or_empty(satellite.region.as_ref())),
        ("capabilities", satellite.capabilities.join(", ")),
        ("host", system.hostname.clone()),
        ("system", format!("{} {}, {}, kernel {}", system.os, system.os_version, system.arch, system.kernel)),
        ("processors", system.cpu_cores.to_string()),
        ("memory", format!("{} of {} MiB free", system.memory_available_mb, system.memory_total_mb)),
        ("agent", or_empty(satellite.agent_version.as_ref())),
        ("url", or_empty(satellite.satellite_url.as_ref())),
        ("registered", satellite.created_at.to_string()),
        ("changed", satellite.updated_at.to_string()),
    ];
    TextTable::pairs(pairs.into_iter().chain(problems).chain(claimed).chain(conflict))
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_changed_one_by_one() {
        let check = |tags: &[&str], added: &[&str], removed: &[&str], expected: &[&str]| {
            let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
            assert_eq!(apply_tag_changes(&own(tags), own(added), &own(removed)), own(expected));
        };
        check(&["web"], &["prod", "web"], &[], &["web", "prod"]);
        check(&["web", "prod"], &[], &["web", "missing"], &["prod"]);
        check(&["web"], &["web"], &["web"], &["web"]);
    }
}
