//! Registers a satellite with its hive, or verifies the keys it has.
//!
//! Only the satellite's own hive can reject a key, by a 401 with its id. Then the older keys are offered, and if the
//! hive rejects all of them the key file is set aside. Every other failure is an outage and is retried without limit. A
//! token is used only if the hive accepts no key.

mod attempt;
mod key_check;
mod recovery;
mod token;

use std::sync::Arc;

use hive_wire::HiveId;
use hive_wire::backoff::{Backoff, BackoffLimits};
use hive_wire::satellite_api::{RegisterRequest, RegisterSystemInfo};
use secrecy::SecretString;
use tracing::{error, info, warn};

use crate::clock;
use crate::config::{AgentConfig, KeyRejectionPolicy};
use crate::error::Error;
use crate::identity::{AgentIdentity, DataDir, StoredIdentity, StoredKeys};
use crate::language::Language;
use crate::machine;
use crate::messages;
use crate::random;
use crate::satellite_api::{AuthRejection, CallError, SatelliteApiClient};
use crate::storage::disk;

use key_check::KeyCheck;
use token::TokenSource;

/// The file of a registration whose answer was not received yet.
const ATTEMPT: &str = "registration.attempt";

/// Registers the satellite and verifies its keys. It is kept for the case that the server rejects the key later.
#[derive(Debug)]
pub(crate) struct Registrar {
    api: SatelliteApiClient,
    data: Arc<DataDir>,
    token: TokenSource,
    request: RegisterRequest,
    backoff_limits: BackoffLimits,
    key_rejection: KeyRejectionPolicy,
    language: Language,
}

impl Registrar {
    pub(crate) fn new(config: &AgentConfig, data: Arc<DataDir>, api: SatelliteApiClient) -> Self {
        Self {
            api,
            data,
            token: TokenSource::of(config),
            request: register_request(config),
            backoff_limits: config.reconnect,
            key_rejection: config.key_rejection,
            language: config.language,
        }
    }

    /// Returns the satellite's identity, from the data directory or by registering.
    pub(crate) async fn identify(&self) -> Result<AgentIdentity, Error> {
        match self.data.identity()? {
            StoredIdentity::Unregistered => {
                let token = self.token.get().await?.ok_or(Error::TokenMissing)?;
                self.register(&token, None).await
            }
            StoredIdentity::Usable(identity) => {
                self.warn_of_other_name(&identity);
                self.verify(identity).await
            }
            StoredIdentity::Rejected(mut identity) => {
                self.warn_of_other_name(&identity);
                match self.try_keys(&mut identity).await {
                    KeyCheck::Accepted => self.restore_keys(identity),
                    KeyCheck::Rejected { is_superseded } => self.recover(identity, is_superseded, false).await,
                    // Another hive never accepts these keys, so only a token helps.
                    KeyCheck::OtherHive(_) => self.recover(identity, false, true).await,
                }
            }
        }
    }

    /// Offers the keys until the hive accepts one. If it rejects all of them, the key file is set aside.
    pub(crate) async fn verify(&self, mut identity: AgentIdentity) -> Result<AgentIdentity, Error> {
        let mut backoff = Backoff::new(self.backoff_limits);
        loop {
            let (is_superseded, is_other_hive) = match self.try_keys(&mut identity).await {
                KeyCheck::Accepted => {
                    self.keep_verified(&identity)?;
                    return Ok(identity);
                }
                KeyCheck::Rejected { is_superseded } => (is_superseded, false),
                // Embedding programs that do not retry, such as `hive up`, use the token at once.
                KeyCheck::OtherHive(_) if self.key_rejection == KeyRejectionPolicy::Exit => (false, true),
                // The server's address may point to another hive for a while, for example during a migration.
                KeyCheck::OtherHive(error) => {
                    self.wait(&mut backoff, &error, identity.hive_id).await;
                    continue;
                }
            };
            // The file is set aside and not deleted: the hive may be restored to a state that knows one of these keys.
            match self.data.set_aside(&identity) {
                Ok(path) => {
                    warn!(path = %path.display(), "the hive accepts none of the stored keys; they are set aside");
                }
                Err(error) => {
                    let cause = messages::what_happened(&error, self.language);
                    error!("the hive accepts none of the stored keys, and they cannot be set aside: {cause}");
                }
            }
            return self.recover(identity, is_superseded, is_other_hive).await;
        }
    }

    /// Stores which key was accepted, and when. A full disk is ignored, because no new key would be lost.
    fn keep_verified(&self, identity: &AgentIdentity) -> Result<(), Error> {
        match self.data.keep(identity) {
            Err(Error::DataDir { source, .. }) if disk::is_disk_error(&source) => {
                warn!("{}", self.data.disk().record_failure("its key", &source));
                Ok(())
            }
            result => result,
        }
    }

    async fn register(&self, token: &SecretString, hive: Option<HiveId>) -> Result<AgentIdentity, Error> {
        let unwritten = |source| Error::DataDir { path: self.data.join(""), source };
        // Stored before the request: if the answer is lost, the repeated request carries the same id.
        let attempt = attempt::begin(&self.data.join(ATTEMPT)).map_err(unwritten)?;
        let mut backoff = Backoff::new(self.backoff_limits);
        loop {
            match self.try_to_register(token, hive, &attempt).await {
                Ok(identity) => return self.keep(identity),
                Err(error) if error.is_transient() => self.wait(&mut backoff, &error, hive).await,
                Err(error) if matches!(error.auth_rejection(hive), Some(AuthRejection::OtherHive(_))) => {
                    self.wait(&mut backoff, &error, hive).await;
                }
                // Refusals of a hive are final. Repeating the request would not change them.
                Err(CallError::Status { refusal: Some(refusal), .. }) => return Err(Error::Refused(refusal)),
                Err(error) => return Err(self.not_a_hive(&error)),
            }
        }
    }

    async fn try_to_register(
        &self,
        token: &SecretString,
        hive: Option<HiveId>,
        attempt: &str,
    ) -> Result<AgentIdentity, CallError> {
        // The token is sent only to a server that identifies itself as a hive.
        self.api.health().await?;
        let request = RegisterRequest { attempt: Some(attempt.to_owned()), ..self.request.clone() };
        let answer = self.api.register(token, hive, &request).await?;
        let now = clock::now();
        Ok(AgentIdentity {
            satellite_id: answer.satellite.id,
            satellite_name: answer.satellite.name,
            hive_id: answer.hive_id,
            keys: StoredKeys::with_candidate(answer.satellite.api_key.into(), now),
            registered_at: now,
            last_verified: None,
        })
    }

    fn keep(&self, identity: AgentIdentity) -> Result<AgentIdentity, Error> {
        self.data.keep(&identity)?;
        attempt::end(&self.data.join(ATTEMPT));
        info!(satellite.id = %identity.satellite_id, "satellite registered");
        Ok(identity)
    }

    /// Stores a new key beside the others, until the server accepts it. If the disk is full, the key stays in memory
    /// and a warning is logged.
    pub(crate) fn keep_new_key(&self, identity: &mut AgentIdentity, api_key: SecretString) {
        identity.keys.add_candidate(api_key, clock::now());
        match self.data.keep(identity) {
            Ok(()) => info!(satellite.id = %identity.satellite_id, "the server issued a new key"),
            Err(error) => {
                let cause = messages::what_happened(&error, self.language);
                error!("cannot store the satellite's new key; after a restart it must register again: {cause}");
            }
        }
    }

    /// Notes that a handshake with this key was accepted, and by which hive.
    pub(crate) fn note_accepted(&self, identity: &mut AgentIdentity, api_key: &SecretString, hive: Option<HiveId>) {
        // Files of older agents do not name the hive; the first handshake adds it.
        let is_hive_new = identity.hive_id.is_none() && hive.is_some();
        identity.hive_id = identity.hive_id.or(hive);
        let must_be_written = identity.keys.accept(api_key, clock::now());
        if !must_be_written && !is_hive_new {
            return;
        }
        if let Err(error) = self.data.keep(identity) {
            let cause = messages::what_happened(&error, self.language);
            error!("cannot store which key the server has accepted: {cause}");
        }
    }

    fn warn_of_other_name(&self, identity: &AgentIdentity) {
        if identity.satellite_name != self.request.name {
            // No error: an administrator may have renamed the satellite at the hive.
            warn!("{}", messages::other_name(&identity.satellite_name, &self.request.name, self.language));
        }
    }

    async fn wait(&self, backoff: &mut Backoff, error: &CallError, hive: Option<HiveId>) {
        let server = self.api.server().to_string();
        let delay = backoff.next_delay_after(error.retry_after(), random::fraction());
        let message = match error.auth_rejection(hive) {
            Some(rejection) => messages::unauthorized(&server, rejection, hive, self.language),
            None => messages::unreachable(&server, &error.describe(self.language), self.language),
        };
        warn!(retry_in_ms = delay.as_millis() as u64, "{message}");
        tokio::time::sleep(delay).await;
    }

    fn not_a_hive(&self, error: &CallError) -> Error {
        let status = match error {
            CallError::Status { status, .. } => status.as_u16(),
            // Never gets here, because a server without an answer is tried again.
            CallError::Unreachable(_) => 0,
        };
        Error::NotAHive { server: self.api.server().to_string(), status }
    }
}

fn register_request(config: &AgentConfig) -> RegisterRequest {
    let system = machine::system_info();
    RegisterRequest {
        name: config.name.as_str().to_owned(),
        capabilities: machine::capabilities(&config.policy),
        tags: config.tags.clone(),
        satellite_url: config.satellite_url.clone(),
        system_info: RegisterSystemInfo {
            os: system.os,
            arch: system.arch,
            memory_mb: system.memory_total_mb,
            hostname: Some(system.hostname),
            agent_version: Some(env!("CARGO_PKG_VERSION").into()),
        },
        attempt: None,
    }
}

#[cfg(test)]
mod tests;
