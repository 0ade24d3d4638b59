//! How many events reach a thousand subscribers of a hive in this process.
//!
//! The subscribers are viewers of one team, and the events changes of a satellite of it: each is stored, published, checked
//! for every subscriber and handed to it.

mod support {
    pub(crate) mod figure;
    pub(crate) mod samples;
}

use anyhow::Context;
use hive_core::access::{Credential, Principal, Role};
use hive_core::wire::api::{
    EventCursor, PlatformRole, RegistrationTokenCreate, SatelliteUpdate, TeamCreate, TokenScope,
};
use hive_core::wire::id::Seed;
use hive_core::wire::satellite_api::{RegisterRequest, RegisterSystemInfo};
use hive_core::wire::{SatelliteId, TeamId, UserId};
use hive_core::{EventItem, Hive, Subscription};
use support::figure::{Figure, is_asked_for};
use support::samples::percentile;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SUBSCRIBERS: usize = 1_000;
/// Events of one round.
const EVENTS: usize = 500;
const ROUNDS: usize = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !is_asked_for() {
        return Ok(());
    }
    let hive = Hive::builder().in_memory().build().await?;
    let (satellite, team) = team_satellite(&hive).await?;
    let viewer = hive.acting_as(viewer(team));
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        let mut subscribers = JoinSet::new();
        for _ in 0..SUBSCRIBERS {
            subscribers.spawn(read(viewer.satellites().subscribe(None).await?));
        }
        let begin = Instant::now();
        for round in 0..EVENTS {
            let region = Some(format!("region-{round}"));
            hive.as_system().satellites().update(satellite, SatelliteUpdate { region, ..Default::default() }).await?;
        }
        while let Some(read) = subscribers.join_next().await {
            read?.context("a subscriber got a resync, or its stream ended")?;
        }
        samples.push(EVENTS as f64 / begin.elapsed().as_secs_f64());
    }
    let value = percentile(&samples, 50);
    let command = format!("{EVENTS} changes of a satellite, each read by {SUBSCRIBERS} subscribers; SQLite in memory");
    Figure { bench: "events", name: "to_1000_subscribers", value, unit: "events/s", peer: None, command }
        .print(&samples);
    Ok(())
}

/// A satellite of a team.
async fn team_satellite(hive: &Hive) -> anyhow::Result<(SatelliteId, TeamId)> {
    let identity = hive.as_system().identity();
    let team = identity.team_create(TeamCreate { slug: "blue".into() }).await?.id;
    let create =
        RegistrationTokenCreate { scope: TokenScope::Team, team_id: Some(team), ..RegistrationTokenCreate::global() };
    let token = identity.registration_token_create(create).await?.token;
    let request = RegisterRequest {
        name: "web-server-01".into(),
        capabilities: Vec::new(),
        tags: Vec::new(),
        satellite_url: None,
        system_info: RegisterSystemInfo::default(),
        attempt: None,
    };
    let registered = hive.register_satellite(&token.into(), request, None, None).await?;
    Ok((registered.id, team))
}

/// Somebody whom the hive does not know by a key, so that only the reading of events is measured.
fn viewer(team: TeamId) -> Principal {
    let credential = Credential::Login(UserId::new(Seed { unix_millis: 1, random: [7; 10] }));
    Principal::new(credential, "anna", PlatformRole::GlobalUser).teams([(team, Role::Viewer)].into())
}

/// Reads as many events as a round has.
async fn read(mut events: Subscription<EventItem>) -> Option<EventCursor> {
    let mut last = None;
    let mut count = 0;
    while count < EVENTS {
        match events.next().await? {
            EventItem::Event(published) => {
                count += 1;
                last = Some(published.cursor());
            }
            EventItem::Resync(_) => return None,
            _ => {}
        }
    }
    last
}
