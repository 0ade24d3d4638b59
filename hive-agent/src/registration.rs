//! How a satellite becomes one of the hive: by a key it has, else by a registration token.
//!
//! A key is rejected only by the satellite's own hive, which says so in its 401. Then the older keys are offered, and when
//! the hive rejects all of them the file is set aside. Everything else is an outage: it is tried again for as long as it
//! takes. A token is spent only where there is no key that the hive accepts.

mod attempt;
mod client;
mod token;

use std::sync::Arc;

use hive_wire::HiveId;
use hive_wire::satellite_api::{RegisterRequest, RegisterSystemInfo};
use secrecy::{ExposeSecret as _, SecretString};
use tracing::{error, info, warn};

use crate::backoff::{Backoff, Limits};
use crate::clock;
use crate::config::{Config, WhenRejected};
use crate::error::Error;
use crate::identity::{DataDir, Identity, KeyRing, Stored};
use crate::machine;
use crate::messages::{self, Language};
use crate::random;
use crate::storage::disk;

use client::CallError;
use token::TokenSource;

pub(crate) use client::{HiveApi, Unauthorized};

/// The file of a registration that has not ended.
const ATTEMPT: &str = "registration.attempt";

/// Everything enrolling needs, kept for the day the server no longer accepts the key.
#[derive(Debug)]
pub(crate) struct Enrolment {
    api: HiveApi,
    data: Arc<DataDir>,
    token: TokenSource,
    request: RegisterRequest,
    limits: Limits,
    when_rejected: WhenRejected,
    language: Language,
}

/// What the hive says about a key, or about all keys of a satellite.
enum Verdict {
    Accepted,
    Rejected {
        /// Whether the hive knows one of them as replaced.
        is_superseded: bool,
    },
    /// Another hive answers, which has no say in it.
    OtherHive(CallError),
}

impl Enrolment {
    pub(crate) fn new(config: &Config, data: Arc<DataDir>, api: HiveApi) -> Self {
        Self {
            api,
            data,
            token: TokenSource::of(config),
            request: register_request(config),
            limits: config.reconnect,
            when_rejected: config.when_rejected,
            language: config.language,
        }
    }

    /// Gives the satellite's identity, from the data directory or by registering.
    pub(crate) async fn enrol(&self) -> Result<Identity, Error> {
        match self.data.identity()? {
            Stored::Nothing => {
                let token = self.token.get().await?.ok_or(Error::TokenMissing)?;
                self.register(&token, None).await
            }
            Stored::Usable(identity) => {
                self.compare_names(&identity);
                self.verify(identity).await
            }
            Stored::Rejected(mut identity) => {
                self.compare_names(&identity);
                match self.offer(&mut identity).await {
                    Verdict::Accepted => self.return_with(identity),
                    Verdict::Rejected { is_superseded } => self.recover(identity, is_superseded, false).await,
                    Verdict::OtherHive(_) => self.recover(identity, false, true).await,
                }
            }
        }
    }

    /// Offers the keys until the hive accepts one. Where it rejects all of them, their file is set aside.
    pub(crate) async fn verify(&self, mut identity: Identity) -> Result<Identity, Error> {
        let mut backoff = Backoff::new(self.limits);
        loop {
            let (is_superseded, is_other_hive) = match self.offer(&mut identity).await {
                Verdict::Accepted => {
                    self.keep_verified(&identity)?;
                    return Ok(identity);
                }
                Verdict::Rejected { is_superseded } => (is_superseded, false),
                Verdict::OtherHive(_) if self.when_rejected == WhenRejected::GiveUp => (false, true),
                Verdict::OtherHive(error) => {
                    self.wait(&mut backoff, &error, identity.hive_id).await;
                    continue;
                }
            };
            match self.data.set_aside(&identity) {
                Ok(path) => {
                    warn!(path = %path.display(), "the hive accepts none of the stored keys; they are set aside");
                }
                Err(error) => error!(%error, "the hive accepts none of the stored keys, and they cannot be set aside"),
            }
            return self.recover(identity, is_superseded, is_other_hive).await;
        }
    }

    /// Keeps which key was accepted, and when. A disk that takes nothing now is no reason to stop: nothing new is in it.
    fn keep_verified(&self, identity: &Identity) -> Result<(), Error> {
        match self.data.keep(identity) {
            Err(Error::DataDir { source, .. }) if disk::is_disk_error(&source) => {
                warn!("{}", self.data.disk().failed("its key", &source));
                Ok(())
            }
            kept => kept,
        }
    }

    /// Offers all keys, in their order. Notes which one was accepted.
    async fn offer(&self, identity: &mut Identity) -> Verdict {
        let mut is_superseded = false;
        for (place, key) in identity.keys.offers().iter().enumerate() {
            match self.ask_about(identity, key).await {
                Verdict::Accepted => {
                    let now = clock::now();
                    identity.keys.accept(key, now);
                    identity.last_verified = Some(now);
                    info!(satellite.id = %identity.satellite_id, "the stored key is valid");
                    if place > 0 {
                        warn!(
                            "the hive accepts an older key of this satellite; it was probably restored from a backup"
                        );
                    }
                    return Verdict::Accepted;
                }
                Verdict::Rejected { is_superseded: this_one } => is_superseded |= this_one,
                Verdict::OtherHive(error) => return Verdict::OtherHive(error),
            }
        }
        Verdict::Rejected { is_superseded }
    }

    /// Asks about one key until a hive answers.
    async fn ask_about(&self, identity: &Identity, key: &SecretString) -> Verdict {
        let mut backoff = Backoff::new(self.limits);
        loop {
            let Err(error) = self.api.heartbeat(identity.satellite_id, key, identity.hive_id).await else {
                return Verdict::Accepted;
            };
            match error.unauthorized(identity.hive_id) {
                Some(Unauthorized::Rejected { is_superseded }) => return Verdict::Rejected { is_superseded },
                Some(Unauthorized::OtherHive(_)) => return Verdict::OtherHive(error),
                _ => self.wait(&mut backoff, &error, identity.hive_id).await,
            }
        }
    }

    /// Gets a satellite back whose keys were all rejected: by a token, or by the hive accepting one of them after all.
    async fn recover(
        &self,
        mut identity: Identity,
        mut is_superseded: bool,
        mut is_other_hive: bool,
    ) -> Result<Identity, Error> {
        let mut refused: Option<SecretString> = None;
        loop {
            // What was registered elsewhere is no secret to the hive that is there now, and this one's token is for it.
            let hive = identity.hive_id.filter(|_| !is_other_hive);
            let registered = match self.token.get().await {
                Ok(Some(token)) if refused.as_ref().is_none_or(|before| !is_same(before, &token)) => {
                    let registered = self.register_again(&token, hive, &identity).await;
                    refused = Some(token);
                    registered
                }
                Ok(_) => Err(Error::KeyRejected),
                Err(error) => Err(error),
            };
            let error = match registered {
                Ok(identity) => return Ok(identity),
                Err(error) => error,
            };
            let WhenRejected::KeepTrying(interval) = self.when_rejected else { return Err(error) };
            if !matches!(error, Error::KeyRejected) {
                error!("{}", messages::explain(&error, self.language));
            }
            let delay = interval + interval.mul_f64(random::roll() / 2.0);
            let message = messages::keys_rejected(is_superseded, self.language);
            error!(retry_in_ms = delay.as_millis() as u64, "{message}");
            tokio::time::sleep(delay).await;
            match self.offer(&mut identity).await {
                Verdict::Accepted => return self.return_with(identity),
                Verdict::Rejected { is_superseded: now } => (is_superseded, is_other_hive) = (now, false),
                Verdict::OtherHive(_) => is_other_hive = true,
            }
        }
    }

    /// Takes the keys back that were set aside.
    fn return_with(&self, identity: Identity) -> Result<Identity, Error> {
        self.data.put_back(&identity)?;
        info!(satellite.id = %identity.satellite_id, "the hive accepts a key again that it had rejected");
        Ok(identity)
    }

    /// Registers anew, and keeps the earlier keys beside the new one where it is the same satellite: the hive may be
    /// restored once more.
    async fn register_again(
        &self,
        token: &SecretString,
        hive: Option<HiveId>,
        earlier: &Identity,
    ) -> Result<Identity, Error> {
        let mut identity = self.register(token, hive).await?;
        if identity.is_same(earlier) {
            identity.keys.add_older(earlier.keys.clone(), clock::now());
            self.data.keep(&identity)?;
        }
        Ok(identity)
    }

    async fn register(&self, token: &SecretString, hive: Option<HiveId>) -> Result<Identity, Error> {
        let unwritten = |source| Error::DataDir { path: self.data.join(""), source };
        let attempt = attempt::begin(&self.data.join(ATTEMPT)).map_err(unwritten)?;
        let mut backoff = Backoff::new(self.limits);
        loop {
            match self.try_to_register(token, hive, &attempt).await {
                Ok(identity) => return self.keep(identity),
                Err(error) if error.is_passing() => self.wait(&mut backoff, &error, hive).await,
                Err(error) if matches!(error.unauthorized(hive), Some(Unauthorized::OtherHive(_))) => {
                    self.wait(&mut backoff, &error, hive).await;
                }
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
    ) -> Result<Identity, CallError> {
        // The token is shown only to something that says it is a hive.
        self.api.health().await?;
        let request = RegisterRequest { attempt: Some(attempt.to_owned()), ..self.request.clone() };
        let answer = self.api.register(token, hive, &request).await?;
        let now = clock::now();
        Ok(Identity {
            satellite_id: answer.satellite.id,
            satellite_name: answer.satellite.name,
            hive_id: answer.hive_id,
            keys: KeyRing::with_candidate(answer.satellite.api_key.into(), now),
            registered_at: now,
            last_verified: None,
        })
    }

    fn keep(&self, identity: Identity) -> Result<Identity, Error> {
        self.data.keep(&identity)?;
        attempt::end(&self.data.join(ATTEMPT));
        info!(satellite.id = %identity.satellite_id, "satellite registered");
        Ok(identity)
    }

    /// Keeps a new key beside the ones before, until the server accepts it. Where the disk does not take it, the satellite
    /// works with it until it stops, and says so.
    pub(crate) fn keep_new_key(&self, identity: &mut Identity, api_key: SecretString) {
        identity.keys.propose(api_key, clock::now());
        match self.data.keep(identity) {
            Ok(()) => info!(satellite.id = %identity.satellite_id, "the server gave the satellite a new key"),
            Err(error) => error!(%error, "cannot keep the satellite's new key; after a restart it must register again"),
        }
    }

    /// Notes that a handshake was accepted with this key, and by which hive.
    pub(crate) fn note_accepted(&self, identity: &mut Identity, api_key: &SecretString, hive: Option<HiveId>) {
        let is_hive_new = identity.hive_id.is_none() && hive.is_some();
        identity.hive_id = identity.hive_id.or(hive);
        let is_news = identity.keys.accept(api_key, clock::now());
        if !is_news && !is_hive_new {
            return;
        }
        if let Err(error) = self.data.keep(identity) {
            error!(%error, "cannot keep which key the server has accepted");
        }
    }

    fn compare_names(&self, identity: &Identity) {
        if identity.satellite_name != self.request.name {
            warn!("{}", messages::other_name(&identity.satellite_name, &self.request.name, self.language));
        }
    }

    async fn wait(&self, backoff: &mut Backoff, error: &CallError, hive: Option<HiveId>) {
        let server = self.api.server().to_string();
        let delay = backoff.next_delay_after(error.retry_after(), random::roll());
        let message = match error.unauthorized(hive) {
            Some(unauthorized) => messages::unauthorized(&server, unauthorized, hive, self.language),
            None => messages::unreachable(&server, &error.cause(), self.language),
        };
        warn!(retry_in_ms = delay.as_millis() as u64, "{message}");
        tokio::time::sleep(delay).await;
    }

    fn not_a_hive(&self, error: &CallError) -> Error {
        let status = match error {
            CallError::Status { status, .. } => status.as_u16(),
            CallError::Unreachable(_) => 0,
        };
        Error::NotAHive { server: self.api.server().to_string(), status }
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

fn register_request(config: &Config) -> RegisterRequest {
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
