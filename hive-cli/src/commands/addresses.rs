//! `hive teams addresses` and `hive satellites addresses`: the networks of a team and of a satellite.

use hive_core::HiveApi;
use hive_core::wire::api::{AllowList, AllowListUpdate};
use hive_core::wire::{SatelliteId, TeamId};

use crate::args::AddressesArgs;
use crate::error::Result;
use crate::lookup;
use crate::output::Printer;
use crate::table::TextTable;

/// What the networks are of.
enum ListOwner {
    Team(TeamId),
    Satellite(SatelliteId),
}

impl ListOwner {
    async fn get(&self, api: &dyn HiveApi) -> Result<AllowList> {
        Ok(match self {
            Self::Team(id) => api.identity().team_allow_list(*id).await?,
            Self::Satellite(id) => api.satellites().allow_list(*id).await?,
        })
    }

    async fn set(&self, api: &dyn HiveApi, update: AllowListUpdate) -> Result<AllowList> {
        Ok(match self {
            Self::Team(id) => api.identity().team_allow_list_set(*id, update).await?,
            Self::Satellite(id) => api.satellites().allow_list_set(*id, update).await?,
        })
    }
}

pub(super) async fn of_team(api: &dyn HiveApi, printer: Printer, args: AddressesArgs) -> Result<()> {
    let team = lookup::team(api, &args.of).await?;
    run(api, printer, &ListOwner::Team(team), args).await
}

pub(super) async fn of_satellite(api: &dyn HiveApi, printer: Printer, args: AddressesArgs) -> Result<()> {
    let satellite = lookup::satellite(api, &args.of).await?;
    run(api, printer, &ListOwner::Satellite(satellite.id), args).await
}

async fn run(api: &dyn HiveApi, printer: Printer, subject: &ListOwner, args: AddressesArgs) -> Result<()> {
    let AddressesArgs { of: _, networks, clear, force } = args;
    let list = if clear {
        subject.set(api, AllowListUpdate::default()).await?
    } else if networks.is_empty() {
        subject.get(api).await?
    } else {
        subject.set(api, AllowListUpdate { addresses: Some(networks), force }).await?
    };
    printer.show(&list, |list| {
        let everywhere = || vec!["everywhere".to_owned()];
        TextTable::of(["ALLOWED FROM"], &list.addresses.clone().unwrap_or_else(everywhere), |network| [network.clone()])
    })
}
