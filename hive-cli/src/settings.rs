//! Which hive is meant, and the key to it.
//!
//! What is said most plainly counts first:
//!
//! 1. the flags `--url` or `--profile`, and `--api-key`;
//! 2. the environment: `HIVE_URL` or `HIVE_PROFILE`, and `HIVE_API_KEY`;
//! 3. the profile of the last `hive login` or `hive profiles use`;
//! 4. `./hive-data/cli.json` of a `hive up` that was started here.
//!
//! A key out of a file or the keyring goes to the URL beside it and to no other.

use std::path::Path;

#[cfg(feature = "up")]
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::files;
use crate::profiles::{Profile, Profiles};

/// Where `hive up` leaves its key, below its data directory.
pub(crate) const UP_FILE: &str = "cli.json";
/// The data directory of `hive up` unless another is given.
pub(crate) const UP_DIR: &str = "./hive-data";

/// A hive and a key to it.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) url: String,
    pub(crate) api_key: SecretString,
    pub(crate) origin: Origin,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag or the environment.
    Given,
    Profile(String),
    /// A `hive up` in this directory.
    Here,
}

/// What flags or the environment say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) url: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) api_key: Option<SecretString>,
}

impl Wanted {
    fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self { url: set("HIVE_URL"), profile: set("HIVE_PROFILE"), api_key: set("HIVE_API_KEY").map(Into::into) }
    }

    /// These flags, and of the environment what they leave open.
    fn or(self, environment: Self) -> Self {
        match self {
            // Who names a profile means its key.
            Self { profile: Some(_), .. } => self,
            Self { url: Some(_), .. } => Self { api_key: self.api_key.or(environment.api_key), ..self },
            Self { api_key, .. } => {
                let profile = environment.profile.filter(|_| environment.url.is_none());
                Self { url: environment.url, profile, api_key: api_key.or(environment.api_key) }
            }
        }
    }
}

/// The name of the profile that flags or the environment name.
pub(crate) fn wanted_profile(flags: &Wanted) -> Option<String> {
    flags.profile.clone().or_else(|| Wanted::of_environment().profile)
}

/// Settles which hive is meant.
pub(crate) async fn settle(flags: Wanted) -> Result<Access> {
    let wanted = flags.or(Wanted::of_environment());
    if let Wanted { url: Some(url), api_key: Some(api_key), .. } = wanted {
        return Ok(Access { url, api_key, origin: Origin::Given });
    }
    Stored { profiles: Profiles::load()?, here: load(&Path::new(UP_DIR).join(UP_FILE))? }.settle(wanted).await
}

/// What was kept of earlier calls.
struct Stored {
    profiles: Profiles,
    here: Option<Access>,
}

impl Stored {
    async fn settle(self, wanted: Wanted) -> Result<Access> {
        match wanted {
            Wanted { url: Some(url), api_key: Some(api_key), .. } => Ok(Access { url, api_key, origin: Origin::Given }),
            Wanted { url: Some(url), .. } => self.known(&url).await,
            Wanted { profile: Some(name), api_key, .. } => {
                let (name, profile) = self.profiles.get(&name)?;
                of_profile(name, profile, api_key).await
            }
            Wanted { api_key, .. } => self.usual(api_key).await,
        }
    }

    /// The access to this URL; the current profile's before others.
    async fn known(self, url: &str) -> Result<Access> {
        let profiles = self.profiles.current().into_iter().chain(self.profiles.iter());
        let known = profiles.into_iter().find(|(_, profile)| is_same(&profile.url, url));
        match (known, self.here) {
            (Some((name, profile)), _) => of_profile(name, profile, None).await,
            (None, Some(here)) if is_same(&here.url, url) => Ok(here),
            _ => Err(Failure::NoHive(format!("no key for {url}"))
                .advised(format!("Log in with `hive login {url}`, or set HIVE_API_KEY"))),
        }
    }

    /// The access where nobody names a hive.
    async fn usual(self, api_key: Option<SecretString>) -> Result<Access> {
        match (self.profiles.current(), self.here) {
            (Some((name, profile)), _) => of_profile(name, profile, api_key).await,
            (None, Some(here)) => {
                let origin = if api_key.is_some() { Origin::Given } else { here.origin };
                Ok(Access { url: here.url, api_key: api_key.unwrap_or(here.api_key), origin })
            }
            (None, None) => Err(no_hive(&self.profiles)),
        }
    }
}

fn no_hive(profiles: &Profiles) -> Failure {
    let names: Vec<_> = profiles.iter().map(|(name, _)| name).collect();
    let advice = if names.is_empty() {
        "Start one here with `hive up`, log in with `hive login URL`, or set HIVE_URL and HIVE_API_KEY".to_owned()
    } else {
        format!("Choose with `hive profiles use NAME`, or name it with --profile: {}", names.join(", "))
    };
    Failure::NoHive("which hive?".into()).advised(advice)
}

async fn of_profile(name: &str, profile: &Profile, api_key: Option<SecretString>) -> Result<Access> {
    let url = profile.url.clone();
    if let Some(api_key) = api_key {
        return Ok(Access { url, api_key, origin: Origin::Given });
    }
    let api_key = profile.api_key().await.map_err(|error| {
        Failure::Keyring(error).advised(format!(
            "The key of the profile {name} lies in the keyring; log in again with `hive login {url} --no-keyring`"
        ))
    })?;
    Ok(Access { url, api_key, origin: Origin::Profile(name.to_owned()) })
}

fn is_same(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

#[derive(Serialize, Deserialize)]
struct Written {
    url: String,
    api_key: String,
}

/// Keeps the access to a hive that was started here.
#[cfg(feature = "up")]
pub(crate) fn save(path: &Path, url: &str, api_key: &SecretString) -> Result<()> {
    let written = Written { url: url.to_owned(), api_key: api_key.expose_secret().to_owned() };
    let text = serde_json::to_vec(&written).map_err(|error| Failure::file("write", path)(error.into()))?;
    files::write_private(path, &text).map_err(Failure::file("write", path))
}

/// The access to a hive that was started there.
pub(crate) fn load(path: &Path) -> Result<Option<Access>> {
    let Some(bytes) = files::read_private(path).map_err(Failure::file("read", path))? else {
        return Ok(None);
    };
    let written: Written = serde_json::from_slice(&bytes).map_err(|error| Failure::file("read", path)(error.into()))?;
    Ok(Some(Access { url: written.url, api_key: written.api_key.into(), origin: Origin::Here }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn wanted(url: &str, profile: &str, api_key: &str) -> Wanted {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Wanted { url: some(url), profile: some(profile), api_key: some(api_key).map(Into::into) }
    }

    fn nothing() -> Wanted {
        Wanted::default()
    }

    async fn check(flags: Wanted, environment: Wanted, stored: &[&str], expected: Option<(&str, &str)>) {
        let mut profiles: Profiles = serde_json::from_str(r#"{"version":1,"current":null,"profiles":{}}"#).unwrap();
        let mut here = None;
        for place in stored {
            let url = format!("http://{place}");
            if *place == "here" {
                here = Some(Access { url, api_key: "key-here".into(), origin: Origin::Here });
            } else {
                let text = format!(r#"{{"url":"{url}","api_key":"key-{place}"}}"#);
                profiles.put(place, serde_json::from_str(&text).unwrap());
            }
        }
        let got = Stored { profiles, here }.settle(flags.or(environment)).await.ok();
        let got = got.as_ref().map(|access| (access.url.as_str(), access.api_key.expose_secret()));
        assert_eq!(got, expected, "of {stored:?}");
    }

    #[tokio::test]
    async fn what_is_said_most_plainly_counts_first() {
        let all = ["a", "b", "here"];
        let environment = || wanted("http://env", "", "key-env");
        check(wanted("http://flag", "", "key-flag"), environment(), &all, Some(("http://flag", "key-flag"))).await;
        check(wanted("http://flag", "", ""), environment(), &all, Some(("http://flag", "key-env"))).await;
        check(wanted("", "a", ""), environment(), &all, Some(("http://a", "key-a"))).await;
        check(wanted("", "a", "key-flag"), environment(), &all, Some(("http://a", "key-flag"))).await;
        check(nothing(), environment(), &all, Some(("http://env", "key-env"))).await;
        check(nothing(), wanted("", "a", ""), &all, Some(("http://a", "key-a"))).await;
        check(nothing(), wanted("http://env", "a", "key-env"), &all, Some(("http://env", "key-env"))).await;
        check(nothing(), wanted("", "", "key-env"), &all, Some(("http://b", "key-env"))).await;
        check(nothing(), nothing(), &all, Some(("http://b", "key-b"))).await;
        check(nothing(), nothing(), &["here"], Some(("http://here", "key-here"))).await;
        check(nothing(), nothing(), &[], None).await;
        check(wanted("", "missing", ""), nothing(), &all, None).await;
    }

    #[tokio::test]
    async fn a_stored_key_goes_to_no_other_url() {
        let all = ["a", "b", "here"];
        check(wanted("http://elsewhere", "", ""), nothing(), &all, None).await;
        check(wanted("http://a/", "", ""), nothing(), &all, Some(("http://a", "key-a"))).await;
        check(nothing(), wanted("http://here", "", ""), &all, Some(("http://here", "key-here"))).await;
    }

    #[test]
    #[cfg(feature = "up")]
    fn an_access_is_stored_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cli.json");
        save(&path, "http://here", &"hive_key_secret".into()).unwrap();
        let loaded = load(&path).unwrap().unwrap();
        assert_eq!(loaded.api_key.expose_secret(), "hive_key_secret");
        assert!(!format!("{loaded:?}").contains("hive_key_secret"));
    }
}
