//! One call of this program to a hive: the connection, its credentials, and the hints that need both.

use std::time::Duration;

use hive_core::{Error, RemoteHive};

use crate::error::{CliError, Result};
use crate::lookup;
use crate::settings::{self, Credentials, HiveSelector};

/// How long a call waits in all where the hive limits its rate.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(30);

/// The hive that a command calls, and the credentials it is called with.
pub(super) struct Invocation {
    pub(super) hive: RemoteHive,
    pub(super) credentials: Credentials,
}

impl Invocation {
    /// Finds the selected hive and its key. Nothing is sent yet.
    pub(super) async fn connect(selector: HiveSelector) -> Result<Self> {
        let credentials = settings::resolve(selector).await?;
        let hive = RemoteHive::connect(&credentials.url, credentials.api_key.clone())?;
        let hive = hive.with_rate_limit_wait(RATE_LIMIT_WAIT);
        Ok(Self { hive, credentials })
    }

    /// Replaces the hint of an error where the credentials or the hive know a better one.
    pub(super) async fn with_hint<T>(&self, result: Result<T>) -> Result<T> {
        let Err(error) = result else { return result };
        let hint = match &error {
            CliError::Hive(Error::AuthRequired | Error::AuthInvalid) => Some(self.credentials.rejected_key_hint()),
            // Asked only now: a misspelt name costs one more request, every other call none.
            CliError::Hive(Error::SatelliteNotFound(word)) => lookup::closest_name(&self.hive, word)
                .await
                .map(|name| format!("Did you mean {name}? `hive satellites list` shows all")),
            _ => None,
        };
        Err(match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }
}
