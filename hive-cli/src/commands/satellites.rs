//! `hive satellites`.

use std::collections::BTreeMap;

use hive_core::wire::api::{Satellite, SatelliteFilter, SatelliteUpdate};
use serde::Serialize;
use serde_json::json;

use super::{shown, word};
use crate::args::{ListArgs, SatellitesCommand, UpdateArgs};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::table::Table;
use crate::{find, terminal};
use hive_core::HiveApi;

pub(super) async fn run(api: &dyn HiveApi, output: Output, command: SatellitesCommand) -> Result<()> {
    match command {
        SatellitesCommand::List(args) => list(api, output, args).await,
        SatellitesCommand::Get { satellite } => output.show(&find::satellite(api, &satellite).await?, details),
        SatellitesCommand::Update(args) => update(api, output, args).await,
        SatellitesCommand::Tags => tags(api, output).await,
        SatellitesCommand::Disconnect { satellite } => {
            let satellite = find::satellite(api, &satellite).await?;
            api.satellites().mark_offline(satellite.id).await?;
            let sentence = format!("the link of {} is ended; it comes back by itself", satellite.name);
            output.tell(&json!({ "id": satellite.id, "disconnected": true }), &sentence)
        }
        SatellitesCommand::Remove { satellite, yes } => {
            let satellite = find::satellite(api, &satellite).await?;
            if !yes {
                terminal::confirm(&format!(
                    "Remove {}? Its key is dead at once, and it has to register again.",
                    satellite.name
                ))
                .await?;
            }
            api.satellites().remove(satellite.id).await?;
            output.tell(&json!({ "id": satellite.id, "removed": true }), &format!("{} is removed", satellite.name))
        }
    }
}

async fn list(api: &dyn HiveApi, output: Output, args: ListArgs) -> Result<()> {
    let ListArgs { tags, online, status, search, team, limit } = args;
    let team_id = match team {
        Some(team) => Some(find::team(api, &team).await?),
        None => None,
    };
    let filter = SatelliteFilter { online, status: status.map(Into::into), tags, search, team_id };
    let satellites = find::some(api, filter, limit.unwrap_or(usize::MAX)).await?;
    output.show(&satellites, |satellites| {
        Table::of(["NAME", "ID", "STATUS", "ONLINE", "TAGS", "HOST", "OS"], satellites, row)
    })
}

/// A label, and who carries it.
#[derive(Debug, Default, Serialize)]
struct Label {
    tag: String,
    satellites: usize,
    online: usize,
}

async fn tags(api: &dyn HiveApi, output: Output) -> Result<()> {
    let mut tags: BTreeMap<String, Label> = BTreeMap::new();
    for satellite in find::all(api, SatelliteFilter::default()).await? {
        for tag in satellite.tags {
            let entry = tags.entry(tag.clone()).or_insert_with(|| Label { tag, ..Label::default() });
            entry.satellites += 1;
            entry.online += usize::from(satellite.online);
        }
    }
    let tags: Vec<Label> = tags.into_values().collect();
    output.show(&tags, |tags| {
        Table::of(["TAG", "SATELLITES", "CONNECTED"], tags, |tag| {
            [tag.tag.clone(), tag.satellites.to_string(), tag.online.to_string()]
        })
    })
}

async fn update(api: &dyn HiveApi, output: Output, args: UpdateArgs) -> Result<()> {
    let changes_tags = !args.added_tags.is_empty() || !args.removed_tags.is_empty();
    let has_new_tags = args.no_tags || !args.tags.is_empty();
    let team_id = match args.team {
        Some(team) => Some(Some(find::team(api, &team).await?)),
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
        return Err(Failure::usage("nothing to change")
            .with_hint("Give --name, --tag, --add-tag, --remove-tag, --status, --region or --team"));
    }
    let satellite = find::satellite(api, &args.satellite).await?;
    let tags = changes_tags.then(|| changed(&satellite.tags, args.added_tags, &args.removed_tags));
    let update = SatelliteUpdate { tags: tags.or(update.tags), ..update };
    let list = format!("hive satellites get {}", shown(update.name.as_ref()));
    let updated = api.satellites().update(satellite.id, update).await.map_err(Failure::of_naming(&list))?;
    output.show(&updated, details)
}

/// Labels with some more and some less.
fn changed(tags: &[String], added: Vec<String>, removed: &[String]) -> Vec<String> {
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
        word(&satellite.status),
        yes_or_no(satellite.online),
        satellite.tags.join(","),
        satellite.system.hostname.clone(),
        format!("{}/{}", satellite.system.os, satellite.system.arch),
    ]
}

fn details(satellite: &Satellite) -> Table {
    let system = &satellite.system;
    let problems = satellite.problems.iter().map(|problem| ("problem", problem.clone()));
    // Shown where there is something to look into.
    let conflict = satellite.conflict_at.map(|at| {
        ("conflict", format!("{at}: a second process with its identity was refused; is its machine copied?"))
    });
    let claimed = Some(("claimed tags", satellite.claimed_tags.join(", "))).filter(|(_, tags)| !tags.is_empty());
    let pairs = [
        ("name", satellite.name.to_string()),
        ("id", satellite.id.to_string()),
        ("type", word(&satellite.satellite_type)),
        ("team", shown(satellite.team_id)),
        ("status", word(&satellite.status)),
        ("online", yes_or_no(satellite.online)),
        ("last seen", shown(satellite.last_seen)),
        ("tags", satellite.tags.join(", ")),
        ("region", shown(satellite.region.as_ref())),
        ("capabilities", satellite.capabilities.join(", ")),
        ("host", system.hostname.clone()),
        ("system", format!("{} {}, {}, kernel {}", system.os, system.os_version, system.arch, system.kernel)),
        ("processors", system.cpu_cores.to_string()),
        ("memory", format!("{} of {} MiB free", system.memory_available_mb, system.memory_total_mb)),
        ("agent", shown(satellite.agent_version.as_ref())),
        ("url", shown(satellite.satellite_url.as_ref())),
        ("registered", satellite.created_at.to_string()),
        ("changed", satellite.updated_at.to_string()),
    ];
    Table::pairs(pairs.into_iter().chain(problems).chain(claimed).chain(conflict))
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_changed_one_by_one() {
        let check = |tags: &[&str], added: &[&str], removed: &[&str], expected: &[&str]| {
            let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
            assert_eq!(changed(&own(tags), own(added), &own(removed)), own(expected));
        };
        check(&["web"], &["prod", "web"], &[], &["web", "prod"]);
        check(&["web", "prod"], &[], &["web", "missing"], &["prod"]);
        check(&["web"], &["web"], &["web"], &["web"]);
    }
}
