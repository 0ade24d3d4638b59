//! Registers satellites, each with a token of its own, as an admin and a machine would together.

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use hive_core::HiveApi;
use hive_core::wire::api::RegistrationTokenCreate;
use hive_core::wire::satellite_api::{RegisterRequest, RegisterSystemInfo};

use super::SimulatedIdentity;

/// Registrations under way at the same time: enough to fill the transactions of a store.
const REGISTERING: usize = 128;

/// Registers `count` satellites with a hive: over the network, or with one in this process, which takes 10,000 in seconds.
pub async fn enrol(hive: &dyn HiveApi, count: usize) -> Result<Vec<SimulatedIdentity>> {
    stream::iter(0..count).map(|number| enrol_one(hive, number)).buffer_unordered(REGISTERING).try_collect().await
}

async fn enrol_one(hive: &dyn HiveApi, number: usize) -> Result<SimulatedIdentity> {
    let wanted = RegistrationTokenCreate::global();
    let token = hive.identity().registration_token_create(wanted).await?.token;
    let request = RegisterRequest {
        name: format!("simulated-{number:05}"),
        capabilities: vec!["shell".into()],
        tags: Vec::new(),
        satellite_url: None,
        system_info: RegisterSystemInfo::default(),
        attempt: None,
    };
    let satellite = hive.satellites().register(token.into(), request).await?;
    Ok(SimulatedIdentity { id: satellite.id, api_key: satellite.api_key })
}
