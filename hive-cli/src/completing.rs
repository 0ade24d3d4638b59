//! What a shell may complete: beside the words of this program the names of satellites, asked of the hive.
//!
//! The shell runs `hive` with [`VARIABLE`] set and waits for the answer at each press of Tab. So a hive that is slow, away or
//! not known yet means no names, and never a message.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use hive_core::RemoteHive;
use hive_core::wire::api::{PageRequest, Satellite, SatelliteFilter, SessionFilter};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::failure::{Failure, Result};
use crate::profiles::Profiles;
use crate::settings::{self, HiveSelector};

/// Set by the script of `hive completions`, to the name of the shell.
pub(crate) const VARIABLE: &str = "HIVE_COMPLETE";

/// How long somebody waits for a Tab.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The most words that are of use.
const MAX: usize = 1000;
/// What a label begins with, as a target.
const TAG: &str = "tag:";

/// Names of satellites.
pub(crate) fn satellites() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| names(&begun.to_string_lossy()))
}

/// Names of satellites, and what stands for several of them.
pub(crate) fn targets() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| {
        let begun = begun.to_string_lossy();
        let mut words = names(&begun);
        if "all".starts_with(&*begun) {
            words.push(CompletionCandidate::new("all"));
        }
        if begun.starts_with(TAG) || TAG.starts_with(&*begun) {
            words.extend(tags(&begun));
        }
        words
    })
}

/// Ids of sessions that can be attached to.
pub(crate) fn sessions() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |hive| {
            let sessions = hive.sessions().list(SessionFilter::default()).await?;
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

/// The names that begin so. The hive looks for them, so that it does not matter how many others it knows.
fn names(begun: &str) -> Vec<CompletionCandidate> {
    let search = (!begun.is_empty()).then(|| begun.to_owned());
    let filter = SatelliteFilter { search, ..SatelliteFilter::default() };
    found(filter, |satellite, words| {
        let name = satellite.name.to_string();
        if name.starts_with(begun) {
            words.insert(name);
        }
    })
}

/// The labels that begin so.
fn tags(begun: &str) -> Vec<CompletionCandidate> {
    found(SatelliteFilter::default(), |satellite, words| {
        let tags = satellite.tags.iter().map(|tag| format!("{TAG}{tag}"));
        words.extend(tags.filter(|tag| tag.starts_with(begun)));
    })
}

/// Looks through the satellites until there are enough words, or somebody has waited long enough: then for what was
/// found by then.
fn found(filter: SatelliteFilter, take: impl Fn(Satellite, &mut BTreeSet<String>)) -> Vec<CompletionCandidate> {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let mut words = BTreeSet::new();
    let looking = async {
        let hive = hive().await?;
        for page in 1.. {
            let request = PageRequest { page, per_page: PageRequest::MAX_PER_PAGE };
            let got = hive.satellites().list(filter.clone(), request).await?;
            let is_last = got.items.is_empty() || u64::from(page) * u64::from(request.per_page) >= got.total;
            got.items.into_iter().for_each(|satellite| take(satellite, &mut words));
            if is_last || words.len() >= MAX {
                break;
            }
        }
        Ok::<_, Failure>(())
    };
    // Whatever went wrong: what was found is of use.
    runtime.block_on(async { timeout(PATIENCE, looking).await.map(Result::ok).ok() });
    words.into_iter().take(MAX).map(CompletionCandidate::new).collect()
}

async fn hive() -> Result<RemoteHive> {
    let credentials = settings::resolve(HiveSelector::default()).await?;
    Ok(RemoteHive::connect(&credentials.url, credentials.api_key)?)
}

fn ask(question: impl AsyncFnOnce(RemoteHive) -> Result<Vec<CompletionCandidate>>) -> Vec<CompletionCandidate> {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let answer = async { question(hive().await?).await };
    runtime.block_on(async { timeout(PATIENCE, answer).await }).ok().and_then(Result::ok).unwrap_or_default()
}
