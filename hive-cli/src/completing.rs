//! What a shell may complete: beside the words of this program the names of satellites, asked of the hive.
//!
//! The shell runs `hive` with [`VARIABLE`] set and waits for the answer at each press of Tab. So a hive that is slow, away or
//! not known yet means no names, and never a message.

use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use hive_core::wire::api::{SatelliteFilter, SessionFilter};
use hive_core::{RemoteHive, SessionManager};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::failure::Result;
use crate::find;
use crate::profiles::Profiles;
use crate::settings::{self, Wanted};

/// Set by the script of `hive completions`, to the name of the shell.
pub(crate) const VARIABLE: &str = "HIVE_COMPLETE";

/// How long somebody waits for a Tab.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The most names that are of use.
const MAX: usize = 1000;

/// Names of satellites.
pub(crate) fn satellites() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ask(async |hive| candidates(&hive, false).await))
}

/// Names of satellites, and what stands for several of them.
pub(crate) fn targets() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ask(async |hive| candidates(&hive, true).await))
}

/// Ids of sessions that can be attached to.
pub(crate) fn sessions() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |hive| {
            let sessions = hive.session_list(SessionFilter::default()).await?;
            let of = |session: hive_core::wire::api::Session| {
                CompletionCandidate::new(session.id.to_string()).help(Some(session.satellite_name.to_string().into()))
            };
            Ok(sessions.into_iter().map(of).collect())
        })
    })
}

/// Names of logins.
pub(crate) fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let profiles = Profiles::load().ok();
        profiles.iter().flat_map(Profiles::iter).map(|(name, _)| CompletionCandidate::new(name)).collect()
    })
}

async fn candidates(hive: &RemoteHive, with_selectors: bool) -> Result<Vec<CompletionCandidate>> {
    let satellites = find::some(hive, SatelliteFilter::default(), MAX).await?;
    let mut words: Vec<String> = satellites.iter().map(|satellite| satellite.name.to_string()).collect();
    if with_selectors {
        let mut tags: Vec<_> = satellites.iter().flat_map(|satellite| &satellite.tags).collect();
        tags.sort();
        tags.dedup();
        words.push("all".into());
        words.extend(tags.into_iter().map(|tag| format!("tag:{tag}")));
    }
    Ok(words.into_iter().map(CompletionCandidate::new).collect())
}

fn ask(question: impl AsyncFnOnce(RemoteHive) -> Result<Vec<CompletionCandidate>>) -> Vec<CompletionCandidate> {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let answer = async {
        let access = settings::settle(Wanted::default()).await?;
        question(RemoteHive::connect(&access.url, access.api_key)?).await
    };
    runtime.block_on(async { timeout(PATIENCE, answer).await }).ok().and_then(Result::ok).unwrap_or_default()
}
