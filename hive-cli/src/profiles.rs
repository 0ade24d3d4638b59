//! The saved logins: `profiles.json` in the user's configuration, readable by the user alone.
//!
//! A profile names a hive and the API key for it. The key is in the [`keyring`] where there is one, else in the file
//! itself. The `profile.json` of earlier versions is read as the profile `default`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hive_core::wire::ApiKeyId;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};
use crate::files;
use crate::keyring::{self, KeyringError};

const FILE: &str = "profiles.json";
/// The file of the only profile, before profiles had names.
const LEGACY_FILE: &str = "profile.json";
const LEGACY_NAME: &str = "default";
const VERSION: u32 = 1;
const MAX_NAME: usize = 64;

/// A hive that the user is logged in to.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_id: Option<ApiKeyId>,
    /// Missing where the key is in the keyring.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl Profile {
    /// Makes a profile and stores its key in the keyring, if `has_keyring`. Where that fails, the profile holds the
    /// key, and the error is returned with it.
    pub(crate) async fn create(
        url: &str,
        username: &str,
        api_key_id: ApiKeyId,
        api_key: &SecretString,
        has_keyring: bool,
    ) -> (Self, Option<KeyringError>) {
        let profile = Self {
            url: url.to_owned(),
            username: Some(username.to_owned()),
            api_key_id: Some(api_key_id),
            api_key: None,
        };
        let stored = if has_keyring {
            keyring::store(&api_key_id.to_string(), &format!("{username} at {url}"), api_key).await
        } else {
            Err(KeyringError::Missing)
        };
        match stored {
            Ok(()) => (profile, None),
            Err(error) => (Self { api_key: Some(api_key.expose_secret().to_owned()), ..profile }, Some(error)),
        }
    }

    /// Returns where its key is, as the word of the JSON output.
    pub(crate) fn key_location(&self) -> &'static str {
        if self.api_key.is_some() { "file" } else { "keyring" }
    }

    pub(crate) async fn api_key(&self) -> std::result::Result<SecretString, KeyringError> {
        match (&self.api_key, self.id_in_keyring()) {
            (Some(api_key), _) => Ok(api_key.clone().into()),
            (None, Some(id)) => keyring::load(&id.to_string()).await,
            (None, None) => Err(KeyringError::NotFound),
        }
    }

    /// Returns the id under which its key is in the keyring, if it is there.
    fn id_in_keyring(&self) -> Option<ApiKeyId> {
        self.api_key_id.filter(|_| self.api_key.is_none())
    }
}

/// All profiles: the content of the file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Profiles {
    version: u32,
    current: Option<String>,
    #[serde(rename = "profiles")]
    by_name: BTreeMap<String, Profile>,
    #[serde(skip)]
    directory: PathBuf,
}

impl Profiles {
    /// Reads the profiles. Without a home directory there are none.
    pub(crate) fn load() -> Result<Self> {
        match directory() {
            Some(directory) => Self::load_from(&directory),
            None => Ok(Self::empty(PathBuf::new())),
        }
    }

    fn empty(directory: PathBuf) -> Self {
        Self { version: VERSION, current: None, by_name: BTreeMap::new(), directory }
    }

    fn load_from(directory: &Path) -> Result<Self> {
        let (path, old_path) = (directory.join(FILE), directory.join(LEGACY_FILE));
        if let Some(bytes) = files::read_private(&path).map_err(CliError::file("read", &path))? {
            let stored: Self = read(&path, &bytes)?;
            // A newer version may have fields that this one would drop at the next save.
            if stored.version != VERSION {
                let version = stored.version;
                return Err(CliError::usage(format!("{}: version {version} is of a newer `hive`", path.display())));
            }
            return Ok(Self { directory: directory.to_owned(), ..stored });
        }
        let mut profiles = Self::empty(directory.to_owned());
        if let Some(bytes) = files::read_private(&old_path).map_err(CliError::file("read", &old_path))? {
            profiles.put(LEGACY_NAME, read(&old_path, &bytes)?);
        }
        Ok(profiles)
    }

    /// Writes the profiles, and removes the file of an earlier version: its profile is among them.
    pub(crate) fn save(&self) -> Result<()> {
        if self.directory.as_os_str().is_empty() {
            return Err(CliError::usage(
                "neither XDG_CONFIG_HOME nor HOME is set: there is no directory for a profile",
            ));
        }
        let path = self.directory.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|error| CliError::file("write", &path)(error.into()))?;
        files::write_private(&path, &text).map_err(CliError::file("write", &path))?;
        // After the write, so that a crash in between loses no key. It fails where there never was such a file.
        std::fs::remove_file(self.directory.join(LEGACY_FILE)).ok();
        Ok(())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Profile)> {
        self.by_name.iter().map(|(name, profile)| (name.as_str(), profile))
    }

    /// Returns the profile that is used where no hive is selected.
    pub(crate) fn current(&self) -> Option<(&str, &Profile)> {
        self.get(self.current.as_deref()?).ok()
    }

    pub(crate) fn get(&self, name: &str) -> Result<(&str, &Profile)> {
        let found = self.by_name.get_key_value(name).map(|(name, profile)| (name.as_str(), profile));
        found.ok_or_else(|| self.unknown_profile(name))
    }

    /// Adds a profile and makes it the current one. Returns the one it replaces.
    pub(crate) fn put(&mut self, name: &str, profile: Profile) -> Option<Profile> {
        self.current = Some(name.to_owned());
        self.by_name.insert(name.to_owned(), profile)
    }

    pub(crate) fn set_current(&mut self, name: &str) -> Result<()> {
        self.current = Some(self.get(name)?.0.to_owned());
        Ok(())
    }

    /// Removes a profile. If it was the current one and exactly one is left, that one becomes current.
    pub(crate) fn remove(&mut self, name: &str) -> Result<Profile> {
        let removed = self.by_name.remove(name).ok_or_else(|| self.unknown_profile(name))?;
        if self.current.as_deref() == Some(name) {
            // Of several, none is chosen: the next command must not go to a hive that the user did not pick.
            let mut names = self.by_name.keys();
            self.current = names.next().filter(|_| names.len() == 0).cloned();
        }
        Ok(removed)
    }

    /// Whether one of them uses this key.
    pub(crate) fn any_has_key(&self, id: ApiKeyId) -> bool {
        self.by_name.values().any(|profile| profile.api_key_id == Some(id))
    }

    /// Deletes the key of a removed profile from the keyring, unless another profile uses the same entry.
    pub(crate) async fn delete_key_of(&self, removed: &Profile) -> std::result::Result<(), KeyringError> {
        // `hive login --with-key` may have saved one key under two names.
        let id =
            removed.id_in_keyring().filter(|id| !self.by_name.values().any(|other| other.id_in_keyring() == Some(*id)));
        match id {
            Some(id) => keyring::delete(&id.to_string()).await,
            None => Ok(()),
        }
    }

    fn unknown_profile(&self, name: &str) -> CliError {
        let known: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        let hint = if known.is_empty() {
            "There are none; `hive login URL` makes one".to_owned()
        } else {
            format!("There are: {}", known.join(", "))
        };
        CliError::usage(format!("no profile {name}")).with_hint(hint)
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| CliError::file("read", path)(error.into()))
}

/// Returns the directory of the user's configuration; `None` where there is no home directory.
fn directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG Base Directory Specification: a relative path is invalid and is ignored.
    let config = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let config = config.or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(config.join("satellite-hive"))
}

/// Returns the name of a profile that was given none: the host and port of its URL.
pub(crate) fn default_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// Whether requests to this URL leave the machine without TLS.
pub(crate) fn is_unencrypted(url: &str) -> bool {
    let name = default_name(url);
    let host = name.strip_prefix('[').map_or_else(|| name.split(':').next(), |rest| rest.split(']').next());
    let host = host.unwrap_or_default();
    // A loopback address is on this machine: nothing goes over a network.
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    url.starts_with("http://") && !is_here
}

/// Checks the name of a profile.
pub(crate) fn validate_name(name: &str) -> Result<&str> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '@');
    if (1..=MAX_NAME).contains(&name.chars().count()) && name.chars().all(is_plain) {
        return Ok(name);
    }
    Err(CliError::usage(format!("a profile's name has 1 to {MAX_NAME} letters, digits and . - _ : @")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(url: &str) -> Profile {
        Profile { url: url.into(), username: None, api_key_id: None, api_key: Some("hive_key_secret".into()) }
    }

    fn profiles(names: &[&str]) -> (tempfile::TempDir, Profiles) {
        let directory = tempfile::tempdir().unwrap();
        let mut profiles = Profiles::load_from(directory.path()).unwrap();
        for name in names {
            profiles.put(name, profile(&format!("http://{name}")));
        }
        (directory, profiles)
    }

    fn current(profiles: &Profiles) -> Option<&str> {
        profiles.current().map(|(name, _)| name)
    }

    #[test]
    fn the_last_login_is_the_current_one_until_another_is_chosen() {
        let (directory, mut profiles) = profiles(&["one", "two"]);
        assert_eq!(current(&profiles), Some("two"));
        profiles.set_current("one").unwrap();
        profiles.save().unwrap();
        let loaded = Profiles::load_from(directory.path()).unwrap();
        assert_eq!(current(&loaded), Some("one"));
        assert_eq!(loaded.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn of_several_remaining_profiles_none_becomes_current() {
        let (_directory, mut profiles) = profiles(&["one", "two", "three"]);
        profiles.remove("three").unwrap();
        assert_eq!(current(&profiles), None);
        profiles.set_current("one").unwrap();
        profiles.remove("one").unwrap();
        assert_eq!(current(&profiles), Some("two"));
    }

    #[test]
    fn an_unknown_name_comes_with_the_known_ones() {
        let (_directory, mut profiles) = profiles(&["one", "two"]);
        assert!(profiles.get("three").err().unwrap().hint().unwrap().contains("one, two"));
        assert!(profiles.remove("three").is_err());
        assert!(profiles.set_current("three").is_err());
    }

    #[tokio::test]
    async fn what_an_earlier_version_left_is_the_profile_default() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join(LEGACY_FILE);
        files::write_private(&old, br#"{"url":"http://old","api_key":"hive_key_secret"}"#).unwrap();
        let profiles = Profiles::load_from(directory.path()).unwrap();
        let (name, profile) = profiles.current().unwrap();
        assert_eq!((name, profile.url.as_str()), (LEGACY_NAME, "http://old"));
        assert_eq!(profile.api_key().await.unwrap().expose_secret(), "hive_key_secret");
        profiles.save().unwrap();
        assert!(!old.exists(), "the key lies in one file");
        assert_eq!(current(&Profiles::load_from(directory.path()).unwrap()), Some(LEGACY_NAME));
    }

    #[test]
    fn a_file_of_a_newer_version_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let text = br#"{"version":2,"current":null,"profiles":{}}"#;
        files::write_private(&directory.path().join(FILE), text).unwrap();
        assert!(Profiles::load_from(directory.path()).is_err());
    }

    #[test]
    fn a_url_without_tls_is_recognized() {
        for url in ["http://hive.example.com", "http://192.0.2.7:3000", "http://[2001:db8::1]:3000/x"] {
            assert!(is_unencrypted(url), "{url}");
        }
        for url in ["https://hive.example.com", "http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]"] {
            assert!(!is_unencrypted(url), "{url}");
        }
    }

    #[test]
    fn a_profile_is_called_after_its_host() {
        assert_eq!(default_name("https://hive.example.com"), "hive.example.com");
        assert_eq!(default_name("http://127.0.0.1:3000/behind"), "127.0.0.1:3000");
        assert!(validate_name("hive.example.com:3000").is_ok());
        assert!(validate_name("büro").is_ok());
        for bad in ["", "a b", "../up", "a\u{1b}[2J", &"x".repeat(65)] {
            assert!(validate_name(bad).is_err(), "{bad:?}");
        }
    }
}
