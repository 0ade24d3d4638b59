//! The client.

use std::sync::Arc;

use hive_core::wire::api::{PageRequest, SatelliteFilter, Target};
use hive_core::{CommandRouter, DeviceRegistry, RemoteHive};

use crate::{Command, CommandOutcome, HiveError, Satellite};

/// A hive that is reached over HTTP, with an API key.
#[derive(Debug, uniffi::Object)]
pub struct Hive {
    remote: RemoteHive,
}

#[uniffi::export(async_runtime = "tokio")]
impl Hive {
    /// Names a hive by its URL, such as `https://hive.example.com`, and acts on it with a key. Nothing is sent yet.
    #[uniffi::constructor]
    pub fn connect(url: &str, api_key: String) -> Result<Arc<Self>, HiveError> {
        let remote = RemoteHive::connect(url, api_key.into())?;
        Ok(Arc::new(Self { remote }))
    }

    /// Returns all satellites the key's owner may see, by name.
    pub async fn satellites(&self) -> Result<Vec<Satellite>, HiveError> {
        let mut satellites = Vec::new();
        for page in 1.. {
            let wanted = PageRequest { page, per_page: PageRequest::MAX_PER_PAGE };
            let got = self.remote.list(SatelliteFilter::default(), wanted).await?;
            let is_last = got.items.is_empty();
            satellites.extend(got.items.into_iter().map(Satellite::from));
            if is_last || satellites.len() as u64 >= got.total {
                break;
            }
        }
        Ok(satellites)
    }

    /// Runs a command on satellites and waits for all of them. Targets are names, ids, `tag:x` or `all`; the outcomes come
    /// in the order of the satellites' names. A command that fails is an outcome, not an error.
    pub async fn exec(&self, targets: Vec<String>, command: Command) -> Result<Vec<CommandOutcome>, HiveError> {
        let targets = targets.iter().map(|word| target(word)).collect::<Result<_, _>>()?;
        let (command, options) = command.into();
        let results = self.remote.exec_multi(targets, command, options).await?;
        results.into_iter().map(CommandOutcome::try_from).collect()
    }
}

fn target(word: &str) -> Result<Target, HiveError> {
    word.parse().map_err(|error| HiveError::Invalid(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_refused() {
        let refused = Hive::connect("not a url", "key".into());
        assert!(matches!(refused, Err(HiveError::Invalid(_))), "{refused:?}");
    }

    #[test]
    fn the_key_is_never_shown() {
        let hive = Hive::connect("http://127.0.0.1:1", "hive_key_secret".into()).unwrap();
        assert!(!format!("{hive:?}").contains("hive_key_secret"));
    }
}
