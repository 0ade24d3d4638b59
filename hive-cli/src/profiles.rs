//! The logins that are kept: `profiles.json` in the user's configuration, readable by nobody else.
//!
//! A profile names a hive and the key to it. The key lies in the [`keyring`] where there is one, and in the file itself
//! otherwise. What `hive login` left in earlier versions, a `profile.json`, is read as the profile `default`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hive_core::wire::ApiKeyId;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::files;
use crate::keyring::{self, KeyringError};

const FILE: &str = "profiles.json";
/// What the only profile was kept in, before there were names.
const OLD_FILE: &str = "profile.json";
const OLD_NAME: &str = "default";
const VERSION: u32 = 1;
const MAX_NAME: usize = 64;

/// A hive that somebody is logged in to.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_id: Option<ApiKeyId>,
    /// Not there where it lies in the keyring.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl Profile {
    /// A profile whose key lies in the keyring if `has_keyring` and there is one, and why not where it does not.
    pub(crate) async fn keep(
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
        let kept = if has_keyring {
            keyring::keep(&api_key_id.to_string(), &format!("{username} at {url}"), api_key).await
        } else {
            Err(KeyringError::Missing)
        };
        match kept {
            Ok(()) => (profile, None),
            Err(error) => (Self { api_key: Some(api_key.expose_secret().to_owned()), ..profile }, Some(error)),
        }
    }

    /// Where its key lies.
    pub(crate) fn place(&self) -> &'static str {
        if self.api_key.is_some() { "file" } else { "keyring" }
    }

    pub(crate) async fn api_key(&self) -> std::result::Result<SecretString, KeyringError> {
        match (&self.api_key, self.id_in_keyring()) {
            (Some(api_key), _) => Ok(api_key.clone().into()),
            (None, Some(id)) => keyring::find(&id.to_string()).await,
            (None, None) => Err(KeyringError::Lost),
        }
    }

    /// Under which id its key lies in the keyring, if it lies there.
    fn id_in_keyring(&self) -> Option<ApiKeyId> {
        self.api_key_id.filter(|_| self.api_key.is_none())
    }
}

/// All of them, as they stand in the file.
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
    /// Reads what is kept; nothing where there is no home directory.
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
        let (path, old_path) = (directory.join(FILE), directory.join(OLD_FILE));
        if let Some(bytes) = files::read_private(&path).map_err(Failure::file("read", &path))? {
            let stored: Self = read(&path, &bytes)?;
            if stored.version != VERSION {
                let version = stored.version;
                return Err(Failure::usage(format!("{}: version {version} is of a newer `hive`", path.display())));
            }
            return Ok(Self { directory: directory.to_owned(), ..stored });
        }
        let mut profiles = Self::empty(directory.to_owned());
        if let Some(bytes) = files::read_private(&old_path).map_err(Failure::file("read", &old_path))? {
            profiles.put(OLD_NAME, read(&old_path, &bytes)?);
        }
        Ok(profiles)
    }

    /// Writes them down. What an earlier version left is then in the new file, and nowhere else.
    pub(crate) fn save(&self) -> Result<()> {
        if self.directory.as_os_str().is_empty() {
            return Err(Failure::usage("neither XDG_CONFIG_HOME nor HOME is set: there is no place for a profile"));
        }
        let path = self.directory.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|error| Failure::file("write", &path)(error.into()))?;
        files::write_private(&path, &text).map_err(Failure::file("write", &path))?;
        // Where there never was one, there is nothing to remove.
        std::fs::remove_file(self.directory.join(OLD_FILE)).ok();
        Ok(())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Profile)> {
        self.by_name.iter().map(|(name, profile)| (name.as_str(), profile))
    }

    /// The name and the profile that is used where nobody says otherwise.
    pub(crate) fn current(&self) -> Option<(&str, &Profile)> {
        self.get(self.current.as_deref()?).ok()
    }

    pub(crate) fn get(&self, name: &str) -> Result<(&str, &Profile)> {
        let found = self.by_name.get_key_value(name).map(|(name, profile)| (name.as_str(), profile));
        found.ok_or_else(|| self.unknown(name))
    }

    /// Puts a profile in the place of its name, and makes it the current one. Gives the one that was there.
    pub(crate) fn put(&mut self, name: &str, profile: Profile) -> Option<Profile> {
        self.current = Some(name.to_owned());
        self.by_name.insert(name.to_owned(), profile)
    }

    pub(crate) fn use_from_now_on(&mut self, name: &str) -> Result<()> {
        self.current = Some(self.get(name)?.0.to_owned());
        Ok(())
    }

    /// Takes a profile out. Where it was the current one, the only one left takes its place.
    pub(crate) fn remove(&mut self, name: &str) -> Result<Profile> {
        let removed = self.by_name.remove(name).ok_or_else(|| self.unknown(name))?;
        if self.current.as_deref() == Some(name) {
            let mut left = self.by_name.keys();
            self.current = left.next().filter(|_| left.len() == 0).cloned();
        }
        Ok(removed)
    }

    /// Whether one of them has this key, wherever it lies.
    pub(crate) fn have_key(&self, id: ApiKeyId) -> bool {
        self.by_name.values().any(|profile| profile.api_key_id == Some(id))
    }

    /// Takes the key of a profile that is not kept any more out of the keyring, if it lies there and is no other profile's.
    pub(crate) async fn forget_key_of(&self, gone: &Profile) -> std::result::Result<(), KeyringError> {
        let id = gone.id_in_keyring().filter(|id| !self.by_name.values().any(|kept| kept.id_in_keyring() == Some(*id)));
        match id {
            Some(id) => keyring::forget(&id.to_string()).await,
            None => Ok(()),
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        let known: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        let hint = if known.is_empty() {
            "There are none; `hive login URL` makes one".to_owned()
        } else {
            format!("There are: {}", known.join(", "))
        };
        Failure::usage(format!("no profile {name}")).with_hint(hint)
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Failure::file("read", path)(error.into()))
}

/// Where the user's configuration is; none where there is no home directory.
fn directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let config = config.or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(config.join("satellite-hive"))
}

/// What a profile of this hive is called unless it is given a name: its host and port.
pub(crate) fn name_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// Whether what is sent there leaves this machine as it is.
pub(crate) fn is_readable_on_the_way(url: &str) -> bool {
    let name = name_of(url);
    let host = name.strip_prefix('[').map_or_else(|| name.split(':').next(), |rest| rest.split(']').next());
    let host = host.unwrap_or_default();
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    url.starts_with("http://") && !is_here
}

/// Reads a name for a profile.
pub(crate) fn checked_name(name: &str) -> Result<&str> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '@');
    if (1..=MAX_NAME).contains(&name.chars().count()) && name.chars().all(is_plain) {
        return Ok(name);
    }
    Err(Failure::usage(format!("a profile's name has 1 to {MAX_NAME} letters, digits and . - _ : @")))
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
        profiles.use_from_now_on("one").unwrap();
        profiles.save().unwrap();
        let loaded = Profiles::load_from(directory.path()).unwrap();
        assert_eq!(current(&loaded), Some("one"));
        assert_eq!(loaded.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn of_several_that_are_left_none_is_chosen_by_itself() {
        let (_directory, mut profiles) = profiles(&["one", "two", "three"]);
        profiles.remove("three").unwrap();
        assert_eq!(current(&profiles), None);
        profiles.use_from_now_on("one").unwrap();
        profiles.remove("one").unwrap();
        assert_eq!(current(&profiles), Some("two"));
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_those_that_are() {
        let (_directory, mut profiles) = profiles(&["one", "two"]);
        assert!(profiles.get("three").err().unwrap().hint().unwrap().contains("one, two"));
        assert!(profiles.remove("three").is_err());
        assert!(profiles.use_from_now_on("three").is_err());
    }

    #[tokio::test]
    async fn what_an_earlier_version_left_is_the_profile_default() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join(OLD_FILE);
        files::write_private(&old, br#"{"url":"http://old","api_key":"hive_key_secret"}"#).unwrap();
        let profiles = Profiles::load_from(directory.path()).unwrap();
        let (name, profile) = profiles.current().unwrap();
        assert_eq!((name, profile.url.as_str()), (OLD_NAME, "http://old"));
        assert_eq!(profile.api_key().await.unwrap().expose_secret(), "hive_key_secret");
        profiles.save().unwrap();
        assert!(!old.exists(), "the key lies in one file");
        assert_eq!(current(&Profiles::load_from(directory.path()).unwrap()), Some(OLD_NAME));
    }

    #[test]
    fn a_file_of_a_newer_version_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let text = br#"{"version":2,"current":null,"profiles":{}}"#;
        files::write_private(&directory.path().join(FILE), text).unwrap();
        assert!(Profiles::load_from(directory.path()).is_err());
    }

    #[test]
    fn what_is_not_encrypted_is_known() {
        for url in ["http://hive.example.com", "http://192.0.2.7:3000", "http://[2001:db8::1]:3000/x"] {
            assert!(is_readable_on_the_way(url), "{url}");
        }
        for url in ["https://hive.example.com", "http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]"] {
            assert!(!is_readable_on_the_way(url), "{url}");
        }
    }

    #[test]
    fn a_profile_is_called_after_its_host() {
        assert_eq!(name_of("https://hive.example.com"), "hive.example.com");
        assert_eq!(name_of("http://127.0.0.1:3000/behind"), "127.0.0.1:3000");
        assert!(checked_name("hive.example.com:3000").is_ok());
        assert!(checked_name("büro").is_ok());
        for bad in ["", "a b", "../up", "a\u{1b}[2J", &"x".repeat(65)] {
            assert!(checked_name(bad).is_err(), "{bad:?}");
        }
    }
}
