//! Recovers a satellite whose keys were all rejected: by a token, or by a hive that knows one of them again.

use hive_wire::HiveId;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::{error, info};

use super::Registrar;
use super::key_check::KeyCheck;
use crate::clock;
use crate::config::KeyRejectionPolicy;
use crate::error::Error;
use crate::identity::AgentIdentity;
use crate::messages;
use crate::random;

impl Registrar {
    /// Recovers a satellite whose keys were all rejected: with a token, or if the hive accepts one of them later.
    pub(super) async fn recover(
        &self,
        mut identity: AgentIdentity,
        mut is_superseded: bool,
        mut is_other_hive: bool,
    ) -> Result<AgentIdentity, Error> {
        let mut refused_token: Option<SecretString> = None;
        loop {
            // A token is meant for the hive that is there now, so the id of the earlier hive is not sent.
            let hive = identity.hive_id.filter(|_| !is_other_hive);
            // Read again in each round: an administrator may have put a token into the file since.
            let result = match self.token.get().await {
                // A refused token is not sent again; a file may contain another one the next time.
                Ok(Some(token)) if refused_token.as_ref().is_none_or(|before| !is_same(before, &token)) => {
                    let result = self.register_again(&token, hive, &identity).await;
                    refused_token = Some(token);
                    result
                }
                Ok(_) => Err(Error::KeyRejected),
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(identity) => return Ok(identity),
                Err(error) => error,
            };
            let KeyRejectionPolicy::Retry(interval) = self.key_rejection else { return Err(error) };
            if !matches!(error, Error::KeyRejected) {
                error!("{}", messages::explain(&error, self.language));
            }
            // Jitter, because all satellites of a restored hive would otherwise return together.
            let delay = interval + interval.mul_f64(random::fraction() / 2.0);
            let message = messages::keys_rejected(is_superseded, self.language);
            error!(retry_in_ms = delay.as_millis() as u64, "{message}");
            tokio::time::sleep(delay).await;
            match self.try_keys(&mut identity).await {
                KeyCheck::Accepted => return self.restore_keys(identity),
                KeyCheck::Rejected { is_superseded: now } => (is_superseded, is_other_hive) = (now, false),
                KeyCheck::OtherHive(_) => is_other_hive = true,
            }
        }
    }

    /// Restores the key file that was set aside.
    pub(super) fn restore_keys(&self, identity: AgentIdentity) -> Result<AgentIdentity, Error> {
        self.data.put_back(&identity)?;
        info!(satellite.id = %identity.satellite_id, "the hive accepts a key that it had rejected");
        Ok(identity)
    }

    /// Registers again. If it is the same satellite, the earlier keys are kept behind the new one, in case the hive is
    /// restored from another backup.
    async fn register_again(
        &self,
        token: &SecretString,
        hive: Option<HiveId>,
        earlier: &AgentIdentity,
    ) -> Result<AgentIdentity, Error> {
        let mut identity = self.register(token, hive).await?;
        if identity.is_same(earlier) {
            identity.keys.add_older(earlier.keys.clone(), clock::now());
            self.data.keep(&identity)?;
        }
        Ok(identity)
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
