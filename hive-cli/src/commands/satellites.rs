//! `hive satellites`.

use hive_core::DeviceRegistry;
use hive_core::wire::api::{Satellite, SatelliteFilter, SatelliteUpdate};
use serde_json::json;

use super::{shown, word};
use crate::api::Api;
use crate::args::{ListArgs, SatellitesCommand, UpdateArgs};
use crate::failure::{Failure, Result};
use crate::find;
use crate::output::Output;
use crate::table::Table;

pub(super) async fn run(api: &dyn Api, output: Output, command: SatellitesCommand) -> Result<()> {
    match command {
        SatellitesCommand::List(args) => list(api, output, args).await,
        SatellitesCommand::Get { satellite } => output.show(&find::satellite(api, &satellite).await?, details),
        SatellitesCommand::Update(args) => update(api, output, args).await,
        SatellitesCommand::Remove { satellite } => {
            let satellite = find::satellite(api, &satellite).await?;
            DeviceRegistry::remove(api, satellite.id).await?;
            output.tell(&json!({ "id": satellite.id, "removed": true }), &format!("{} is removed", satellite.name))
        }
    }
}

async fn list(api: &dyn Api, output: Output, args: ListArgs) -> Result<()> {
    let filter =
        SatelliteFilter { online: args.online, tags: args.tags, search: args.search, ..SatelliteFilter::default() };
    let satellites = find::all(api, filter).await?;
    output.show(&satellites, |satellites| {
        Table::of(["NAME", "ID", "STATUS", "ONLINE", "TAGS", "HOST", "OS"], satellites, row)
    })
}

async fn update(api: &dyn Api, output: Output, args: UpdateArgs) -> Result<()> {
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
    if update == SatelliteUpdate::default() {
        return Err(Failure::usage(
            "nothing to change: give --name, --tag, --no-tags, --status, --region, --team or --no-team",
        ));
    }
    let id = find::satellite(api, &args.satellite).await?.id;
    output.show(&DeviceRegistry::update(api, id, update).await?, details)
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
    Table::pairs([
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
    ])
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.into()
}
