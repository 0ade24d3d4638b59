//! Shell completion of satellites, tags, groups, sessions, profiles and paths of the API. The hive is asked for their names.
//!
//! The shell runs `hive` with [`VARIABLE`] set and waits for the answer at each press of Tab. So a hive that is slow,
//! out of reach or not configured yields no names, and never a message: it would stand in the middle of the line that
//! is being typed.

mod api_paths;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use hive_core::RemoteHive;
use hive_core::client::ApiRequest;
use hive_core::lists::next_request;
use hive_core::wire::api::{GroupFilter, MAX_PER_PAGE, PageRequest, Satellite, SatelliteFilter, SessionFilter};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::error::{CliError, Result};
use crate::profiles::Profiles;
use crate::settings::{self, HiveSelector};

/// The environment variable set by the script of `hive completions`, to the name of the shell.
pub(crate) const VARIABLE: &str = "HIVE_COMPLETE";

/// How long the answer to a Tab may take.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// The most words that are offered.
const MAX_WORDS: usize = 1000;
/// The prefix of a tag as a target.
const TAG_PREFIX: &str = "tag:";
/// The prefix of a group as a target.
const GROUP_PREFIX: &str = "group:";

/// Completes names of satellites.
pub(crate) fn satellites() -> ArgValueCompleter {
    ArgValueCompleter::new(|prefix: &OsStr| names(&prefix.to_string_lossy()))
}

/// Completes names of groups.
pub(crate) fn groups() -> ArgValueCompleter {
    ArgValueCompleter::new(|prefix: &OsStr| group_names("", &prefix.to_string_lossy()))
}

/// Completes targets: names of satellites, tags, groups and `all`.
pub(crate) fn targets() -> ArgValueCompleter {
    ArgValueCompleter::new(|prefix: &OsStr| {
        let prefix = prefix.to_string_lossy();
        let mut words = names(&prefix);
        if "all".starts_with(&*prefix) {
            words.push(CompletionCandidate::new("all"));
        }
        if prefix.starts_with(TAG_PREFIX) || TAG_PREFIX.starts_with(&*prefix) {
            words.extend(tags(&prefix));
        }
        if let Some(name) = prefix.strip_prefix(GROUP_PREFIX) {
            words.extend(group_names(GROUP_PREFIX, name));
        } else if GROUP_PREFIX.starts_with(&*prefix) {
            words.extend(group_names(GROUP_PREFIX, ""));
        }
        words
    })
}

/// Completes ids of open sessions.
pub(crate) fn sessions() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        with_hive(async |hive| {
            let sessions = hive.sessions().list(SessionFilter::default()).await?;
            let of = |session: hive_core::wire::api::Session| {
                CompletionCandidate::new(session.id.to_string()).help(Some(session.satellite_name.to_string().into()))
            };
            Ok(sessions.into_iter().map(of).collect())
        })
    })
}

/// Completes names of profiles.
pub(crate) fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let profiles = Profiles::load().ok();
        profiles.iter().flat_map(Profiles::iter).map(|(name, _)| CompletionCandidate::new(name)).collect()
    })
}

/// Completes methods of the API.
pub(crate) fn api_methods() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ["GET", "POST", "PUT", "DELETE"].map(CompletionCandidate::new).into())
}

/// Completes paths of the API, as the hive describes them.
pub(crate) fn api_paths() -> ArgValueCompleter {
    ArgValueCompleter::new(|prefix: &OsStr| {
        let typed = prefix.to_string_lossy().into_owned();
        with_hive(async move |hive| {
            let document = hive.request(ApiRequest::new("GET", "/api/v1/openapi.json")).await?.json().await?;
            Ok(api_paths::completed(&document, &typed).into_iter().map(CompletionCandidate::new).collect())
        })
    })
}

/// Returns the names with this prefix. The hive filters, so the size of the fleet does not matter.
fn names(prefix: &str) -> Vec<CompletionCandidate> {
    let search = (!prefix.is_empty()).then(|| prefix.to_owned());
    let filter = SatelliteFilter { search, ..SatelliteFilter::default() };
    matching_words(filter, |satellite, words| {
        let name = satellite.name.to_string();
        // The search of the hive also matches the middle of a name, and host names.
        if name.starts_with(prefix) {
            words.insert(name);
        }
    })
}

/// Returns the groups whose names have this prefix, each with `before` in front.
fn group_names(before: &'static str, prefix: &str) -> Vec<CompletionCandidate> {
    let search = (!prefix.is_empty()).then(|| prefix.to_owned());
    with_hive(async |hive| {
        let page = PageRequest::first(MAX_WORDS as u32);
        let groups = hive.groups().list(GroupFilter { search, ..GroupFilter::default() }, page).await?.items;
        let names = groups.into_iter().map(|group| group.name.to_string());
        // Two teams may have groups of the same name.
        let names: BTreeSet<_> = names.filter(|name| name.starts_with(prefix)).collect();
        Ok(names.into_iter().map(|name| CompletionCandidate::new(format!("{before}{name}"))).collect())
    })
}

/// Returns the tags with this prefix, as targets.
fn tags(prefix: &str) -> Vec<CompletionCandidate> {
    matching_words(SatelliteFilter::default(), |satellite, words| {
        let tags = satellite.tags.iter().map(|tag| format!("{TAG_PREFIX}{tag}"));
        words.extend(tags.filter(|tag| tag.starts_with(prefix)));
    })
}

/// Collects words from the satellites until there are enough, or the time is over. Returns what was found by then.
fn matching_words(
    filter: SatelliteFilter,
    take: impl Fn(Satellite, &mut BTreeSet<String>),
) -> Vec<CompletionCandidate> {
    // A runtime of its own: clap completes at the start of `main`, before there is one.
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let mut words = BTreeSet::new();
    let search_pages = async {
        let hive = hive().await?;
        let mut request = PageRequest::first(MAX_PER_PAGE);
        loop {
            let response = hive.satellites().list(filter.clone(), request).await?;
            let next = next_request(&PageRequest::first(MAX_PER_PAGE), &response);
            response.items.into_iter().for_each(|satellite| take(satellite, &mut words));
            match next {
                Some(next) if words.len() < MAX_WORDS => request = next,
                _ => break,
            }
        }
        Ok::<_, CliError>(())
    };
    // An error or the timeout drops the rest, and keeps the words that were found.
    runtime.block_on(async { timeout(TIMEOUT, search_pages).await.map(Result::ok).ok() });
    words.into_iter().take(MAX_WORDS).map(CompletionCandidate::new).collect()
}

async fn hive() -> Result<RemoteHive> {
    let credentials = settings::resolve(HiveSelector::default()).await?;
    Ok(RemoteHive::connect(&credentials.url, credentials.api_key)?)
}

/// Asks the hive, and returns nothing where that fails or takes too long.
fn with_hive(question: impl AsyncFnOnce(RemoteHive) -> Result<Vec<CompletionCandidate>>) -> Vec<CompletionCandidate> {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let answer = async { question(hive().await?).await };
    runtime.block_on(async { timeout(TIMEOUT, answer).await }).ok().and_then(Result::ok).unwrap_or_default()
}
