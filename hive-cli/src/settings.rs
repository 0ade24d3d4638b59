//! Which hive is meant, and the key to it.
//!
//! Flags, then the environment, then `./hive-data/cli.json` of a `hive up` started here, then the profile of
//! `hive login`. A key out of a file goes to the URL beside it and to no other.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::files;

/// Where `hive up` leaves its key, below its data directory.
pub(crate) const UP_FILE: &str = "cli.json";
/// The data directory of `hive up` unless another is given.
pub(crate) const UP_DIR: &str = "./hive-data";

const NO_HIVE: &str = "which hive? Start one here with `hive up`, log in with `hive login URL --username U`, \
                       or set HIVE_URL and HIVE_API_KEY";

/// A hive and a key to it.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) url: String,
    pub(crate) api_key: SecretString,
}

/// Flags and environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    pub(crate) url: Option<String>,
    pub(crate) api_key: Option<SecretString>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    url: String,
    api_key: String,
}

/// Settles which hive is meant, from what was given and what the files say.
pub(crate) fn settle(given: Given) -> Result<Access> {
    if let Given { url: Some(url), api_key: Some(api_key) } = given {
        return Ok(Access { url, api_key });
    }
    let stored = [load(&Path::new(UP_DIR).join(UP_FILE))?, load_profile()?].into_iter().flatten().collect();
    choose(given, stored)
}

/// `stored` in the order in which they count.
fn choose(given: Given, stored: Vec<Access>) -> Result<Access> {
    let same = |a: &str, b: &str| a.trim_end_matches('/') == b.trim_end_matches('/');
    match given {
        Given { url: Some(url), api_key: Some(api_key) } => Ok(Access { url, api_key }),
        Given { url: Some(url), api_key: None } => {
            let known = stored.into_iter().find(|access| same(&access.url, &url));
            known.ok_or_else(|| Failure::usage(format!("no key for {url}: give --api-key or HIVE_API_KEY")))
        }
        Given { url: None, api_key } => {
            let first = stored.into_iter().next().ok_or_else(|| Failure::usage(NO_HIVE))?;
            Ok(Access { api_key: api_key.unwrap_or(first.api_key), url: first.url })
        }
    }
}

/// Keeps an access for later calls.
pub(crate) fn save(path: &Path, access: &Access) -> Result<()> {
    let stored = Stored { url: access.url.clone(), api_key: access.api_key.expose_secret().to_owned() };
    let text = serde_json::to_vec(&stored).map_err(|error| Failure::file("write", path)(error.into()))?;
    files::write_private(path, &text).map_err(Failure::file("write", path))
}

pub(crate) fn load(path: &Path) -> Result<Option<Access>> {
    let Some(bytes) = files::read_private(path).map_err(Failure::file("read", path))? else {
        return Ok(None);
    };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| Failure::file("read", path)(error.into()))?;
    Ok(Some(Access { url: stored.url, api_key: stored.api_key.into() }))
}

/// Where the profile is; `None` where there is no home directory.
pub(crate) fn profile_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let config = config.or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(config.join("satellite-hive").join("profile.json"))
}

fn load_profile() -> Result<Option<Access>> {
    profile_path().map_or(Ok(None), |path| load(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(url: &str, key: &str) -> Access {
        Access { url: url.into(), api_key: key.to_owned().into() }
    }

    fn given(url: Option<&str>, key: Option<&str>) -> Given {
        Given { url: url.map(str::to_owned), api_key: key.map(|key| key.to_owned().into()) }
    }

    fn check(given: Given, stored: &[Access], expected: Option<(&str, &str)>) {
        let got = choose(given, stored.to_vec()).ok();
        let got = got.as_ref().map(|access| (access.url.as_str(), access.api_key.expose_secret()));
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_given_counts_before_what_is_stored() {
        let stored = [access("http://here", "a"), access("http://profile", "b")];
        check(given(Some("http://x"), Some("k")), &stored, Some(("http://x", "k")));
        check(given(None, Some("k")), &stored, Some(("http://here", "k")));
        check(given(None, None), &stored, Some(("http://here", "a")));
        check(given(None, None), &stored[1..], Some(("http://profile", "b")));
        check(given(None, None), &[], None);
    }

    #[test]
    fn a_stored_key_goes_to_no_other_url() {
        let stored = [access("http://here", "a"), access("http://profile/", "b")];
        check(given(Some("http://elsewhere"), None), &stored, None);
        check(given(Some("http://profile"), None), &stored, Some(("http://profile/", "b")));
    }

    #[test]
    fn an_access_is_stored_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cli.json");
        save(&path, &access("http://here", "hive_key_secret")).unwrap();
        let loaded = load(&path).unwrap().unwrap();
        assert_eq!(loaded.api_key.expose_secret(), "hive_key_secret");
        assert!(!format!("{loaded:?}").contains("hive_key_secret"));
    }
}
