//! Which hive a command calls, and the API key for it.
//!
//! The first of these that names a hive decides:
//!
//! 1. the flags `--url` or `--profile`, and `--api-key`;
//! 2. the environment: `HIVE_URL` or `HIVE_PROFILE`, and `HIVE_API_KEY`;
//! 3. the profile of the last `hive login` or `hive profiles use`;
//! 4. `./hive-data/cli.json` of a `hive up` that was started here.
//!
//! A key from a file or the keyring is sent to the URL stored with it and to no other.

use std::path::Path;

#[cfg(feature = "up")]
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};
use crate::files;
use crate::profiles::{Profile, Profiles};

/// The file below its data directory in which `hive up` stores its credentials.
pub(crate) const UP_FILE: &str = "cli.json";
/// The data directory of `hive up` unless another is given.
pub(crate) const UP_DIR: &str = "./hive-data";

/// The URL of a hive and an API key for it.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) url: String,
    pub(crate) api_key: SecretString,
    pub(crate) source: CredentialSource,
}

impl Credentials {
    /// Returns the hint for a hive that does not accept this key.
    pub(crate) fn rejected_key_hint(&self) -> String {
        let url = &self.url;
        match &self.source {
            CredentialSource::Explicit => {
                format!("{url} does not accept the key of --api-key or HIVE_API_KEY; `hive login {url}` makes one")
            }
            CredentialSource::Profile(name) => {
                format!(
                    "{url} does not accept the key of the profile {name}; log in again with `hive login {url} --profile {name}`"
                )
            }
            CredentialSource::LocalHive => {
                format!(
                    "{url} does not accept the key in ./hive-data; does the hive that was started here still run? Start it with `hive up`"
                )
            }
        }
    }
}

/// Where an API key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CredentialSource {
    /// A flag or the environment.
    Explicit,
    Profile(String),
    /// A `hive up` in this directory.
    LocalHive,
}

/// The hive and the key as flags or the environment name them.
#[derive(Debug, Clone, Default)]
pub(crate) struct HiveSelector {
    pub(crate) url: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) api_key: Option<SecretString>,
}

impl HiveSelector {
    fn from_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self { url: set("HIVE_URL"), profile: set("HIVE_PROFILE"), api_key: set("HIVE_API_KEY").map(Into::into) }
    }

    /// Completes these flags with the environment.
    fn or(self, environment: Self) -> Self {
        match self {
            // A profile brings its own key: HIVE_API_KEY may belong to another hive.
            Self { profile: Some(_), .. } => self,
            Self { url: Some(_), .. } => Self { api_key: self.api_key.or(environment.api_key), ..self },
            Self { api_key, .. } => {
                // HIVE_URL wins over HIVE_PROFILE where both are set, and clap cannot refuse the pair as it does for
                // flags.
                let profile = environment.profile.filter(|_| environment.url.is_none());
                Self { url: environment.url, profile, api_key: api_key.or(environment.api_key) }
            }
        }
    }
}

/// Returns the name of the profile that flags or the environment name.
pub(crate) fn selected_profile(flags: &HiveSelector) -> Option<String> {
    flags.profile.clone().or_else(|| HiveSelector::from_environment().profile)
}

/// Finds the hive to call and the key for it.
pub(crate) async fn resolve(flags: HiveSelector) -> Result<Credentials> {
    let selector = flags.or(HiveSelector::from_environment());
    // Checked before any file is read: a script that gives both needs no home directory and no keyring.
    if let HiveSelector { url: Some(url), api_key: Some(api_key), .. } = selector {
        return Ok(Credentials { url, api_key, source: CredentialSource::Explicit });
    }
    SavedLogins { profiles: Profiles::load()?, local: load(&Path::new(UP_DIR).join(UP_FILE))? }.resolve(selector).await
}

/// The credentials on this machine: profiles, and those of a `hive up` in this directory.
struct SavedLogins {
    profiles: Profiles,
    local: Option<Credentials>,
}

impl SavedLogins {
    async fn resolve(self, selector: HiveSelector) -> Result<Credentials> {
        match selector {
            HiveSelector { url: Some(url), api_key: Some(api_key), .. } => {
                Ok(Credentials { url, api_key, source: CredentialSource::Explicit })
            }
            HiveSelector { url: Some(url), .. } => self.for_url(&url).await,
            HiveSelector { profile: Some(name), api_key, .. } => {
                let (name, profile) = self.profiles.get(&name)?;
                from_profile(name, profile, api_key).await
            }
            HiveSelector { api_key, .. } => self.default(api_key).await,
        }
    }

    /// Returns the credentials for this URL. The current profile goes before others.
    async fn for_url(self, url: &str) -> Result<Credentials> {
        let profiles = self.profiles.current().into_iter().chain(self.profiles.iter());
        let known = profiles.into_iter().find(|(_, profile)| is_same_url(&profile.url, url));
        match (known, self.local) {
            (Some((name, profile)), _) => from_profile(name, profile, None).await,
            (None, Some(local)) if is_same_url(&local.url, url) => Ok(local),
            _ => Err(CliError::NoHive(format!("no key for {url}"))
                .with_hint(format!("Log in with `hive login {url}`, or set HIVE_API_KEY"))),
        }
    }

    /// Returns the credentials where neither flags nor the environment name a hive.
    async fn default(self, api_key: Option<SecretString>) -> Result<Credentials> {
        match (self.profiles.current(), self.local) {
            (Some((name, profile)), _) => from_profile(name, profile, api_key).await,
            (None, Some(local)) => {
                let source = if api_key.is_some() { CredentialSource::Explicit } else { local.source };
                Ok(Credentials { url: local.url, api_key: api_key.unwrap_or(local.api_key), source })
            }
            (None, None) => Err(no_hive(&self.profiles)),
        }
    }
}

fn no_hive(profiles: &Profiles) -> CliError {
    let names: Vec<_> = profiles.iter().map(|(name, _)| name).collect();
    let hint = if names.is_empty() {
        "Start one here with `hive up`, log in with `hive login URL`, or set HIVE_URL and HIVE_API_KEY".to_owned()
    } else {
        format!("Choose with `hive profiles use NAME`, or name it with --profile: {}", names.join(", "))
    };
    CliError::NoHive("which hive?".into()).with_hint(hint)
}

async fn from_profile(name: &str, profile: &Profile, api_key: Option<SecretString>) -> Result<Credentials> {
    let url = profile.url.clone();
    if let Some(api_key) = api_key {
        return Ok(Credentials { url, api_key, source: CredentialSource::Explicit });
    }
    let api_key = profile.api_key().await.map_err(|error| {
        CliError::Keyring(error).with_hint(format!(
            "The key of the profile {name} is in the keyring; log in again with `hive login {url} --no-keyring`"
        ))
    })?;
    Ok(Credentials { url, api_key, source: CredentialSource::Profile(name.to_owned()) })
}

fn is_same_url(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

/// The content of [`UP_FILE`].
#[derive(Serialize, Deserialize)]
struct UpFile {
    url: String,
    api_key: String,
}

/// Stores the credentials of a hive that was started here.
#[cfg(feature = "up")]
pub(crate) fn save(path: &Path, url: &str, api_key: &SecretString) -> Result<()> {
    let file = UpFile { url: url.to_owned(), api_key: api_key.expose_secret().to_owned() };
    let text = serde_json::to_vec(&file).map_err(|error| CliError::file("write", path)(error.into()))?;
    files::write_private(path, &text).map_err(CliError::file("write", path))
}

/// Reads the credentials of a hive that was started there.
pub(crate) fn load(path: &Path) -> Result<Option<Credentials>> {
    let Some(bytes) = files::read_private(path).map_err(CliError::file("read", path))? else {
        return Ok(None);
    };
    let file: UpFile = serde_json::from_slice(&bytes).map_err(|error| CliError::file("read", path)(error.into()))?;
    Ok(Some(Credentials { url: file.url, api_key: file.api_key.into(), source: CredentialSource::LocalHive }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn selector(url: &str, profile: &str, api_key: &str) -> HiveSelector {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        HiveSelector { url: some(url), profile: some(profile), api_key: some(api_key).map(Into::into) }
    }

    fn nothing() -> HiveSelector {
        HiveSelector::default()
    }

    async fn check(flags: HiveSelector, environment: HiveSelector, stored: &[&str], expected: Option<(&str, &str)>) {
        let mut profiles: Profiles = serde_json::from_str(r#"{"version":1,"current":null,"profiles":{}}"#).unwrap();
        let mut local = None;
        for place in stored {
            let url = format!("http://{place}");
            if *place == "here" {
                local = Some(Credentials { url, api_key: "key-here".into(), source: CredentialSource::LocalHive });
            } else {
                let text = format!(r#"{{"url":"{url}","api_key":"key-{place}"}}"#);
                profiles.put(place, serde_json::from_str(&text).unwrap());
            }
        }
        let got = SavedLogins { profiles, local }.resolve(flags.or(environment)).await.ok();
        let got = got.as_ref().map(|credentials| (credentials.url.as_str(), credentials.api_key.expose_secret()));
        assert_eq!(got, expected, "of {stored:?}");
    }

    #[tokio::test]
    async fn flags_go_before_the_environment_and_that_before_saved_logins() {
        let all = ["a", "b", "here"];
        let environment = || selector("http://env", "", "key-env");
        check(selector("http://flag", "", "key-flag"), environment(), &all, Some(("http://flag", "key-flag"))).await;
        check(selector("http://flag", "", ""), environment(), &all, Some(("http://flag", "key-env"))).await;
        check(selector("", "a", ""), environment(), &all, Some(("http://a", "key-a"))).await;
        check(selector("", "a", "key-flag"), environment(), &all, Some(("http://a", "key-flag"))).await;
        check(nothing(), environment(), &all, Some(("http://env", "key-env"))).await;
        check(nothing(), selector("", "a", ""), &all, Some(("http://a", "key-a"))).await;
        check(nothing(), selector("http://env", "a", "key-env"), &all, Some(("http://env", "key-env"))).await;
        check(nothing(), selector("", "", "key-env"), &all, Some(("http://b", "key-env"))).await;
        check(nothing(), nothing(), &all, Some(("http://b", "key-b"))).await;
        check(nothing(), nothing(), &["here"], Some(("http://here", "key-here"))).await;
        check(nothing(), nothing(), &[], None).await;
        check(selector("", "missing", ""), nothing(), &all, None).await;
    }

    #[tokio::test]
    async fn a_stored_key_goes_to_no_other_url() {
        let all = ["a", "b", "here"];
        check(selector("http://elsewhere", "", ""), nothing(), &all, None).await;
        check(selector("http://a/", "", ""), nothing(), &all, Some(("http://a", "key-a"))).await;
        check(nothing(), selector("http://here", "", ""), &all, Some(("http://here", "key-here"))).await;
    }

    #[test]
    #[cfg(feature = "up")]
    fn credentials_are_stored_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cli.json");
        save(&path, "http://here", &"hive_key_secret".into()).unwrap();
        let loaded = load(&path).unwrap().unwrap();
        assert_eq!(loaded.api_key.expose_secret(), "hive_key_secret");
        assert!(!format!("{loaded:?}").contains("hive_key_secret"));
    }

    #[test]
    fn the_hint_names_where_a_rejected_key_comes_from() {
        let check = |source, expected: &str| {
            let credentials = Credentials { url: "http://hive".into(), api_key: "k".into(), source };
            let hint = credentials.rejected_key_hint();
            assert!(hint.contains(expected), "{hint}");
        };
        check(CredentialSource::Explicit, "HIVE_API_KEY");
        check(CredentialSource::Profile("prod".into()), "--profile prod");
        check(CredentialSource::LocalHive, "`hive up`");
    }
}
