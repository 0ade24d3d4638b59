//! How a satellite becomes one of the hive: by the key it has, else by a registration token.
//!
//! A key is dropped only when the server answers 401 to it, a token is spent only when there is no key, and a server that
//! cannot be reached is tried again for as long as it takes.

use hive_wire::credential;
use hive_wire::satellite_api::{RegisterRequest, RegisterSystemInfo};
use hyper::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use tracing::{error, info, warn};

use crate::attempt;
use crate::backoff::{Backoff, Limits};
use crate::clock;
use crate::config::Config;
use crate::disk;
use crate::error::Error;
use crate::http::{CallError, HiveApi};
use crate::identity::{DataDir, Identity};
use crate::machine;
use crate::messages::{self, Language};
use crate::random;

/// The file of a registration that has not ended.
const ATTEMPT: &str = "registration.attempt";
/// What stands where a token should, in examples and templates.
const PLACEHOLDERS: [&str; 8] =
    ["your-token-here", "your_token_here", "your-token", "changeme", "change-me", "placeholder", "token", "xxx"];

/// Everything enrolling needs, kept for the day the server no longer accepts the key.
#[derive(Debug)]
pub(crate) struct Enrolment {
    api: HiveApi,
    data: Arc<DataDir>,
    token: Option<SecretString>,
    request: RegisterRequest,
    limits: Limits,
    language: Language,
}

impl Enrolment {
    pub(crate) fn new(config: &Config, data: Arc<DataDir>, api: HiveApi) -> Self {
        Self {
            api,
            data,
            token: config.registration_token.clone(),
            request: register_request(config),
            limits: config.reconnect,
            language: config.language,
        }
    }

    /// Gives the satellite's identity, from the data directory or by registering.
    pub(crate) async fn enrol(&self) -> Result<Identity, Error> {
        let Some(stored) = self.data.identity()? else {
            return self.register(Error::TokenMissing).await;
        };
        if stored.satellite_name != self.request.name {
            warn!(
                registered = stored.satellite_name,
                "the satellite is registered under another name; it keeps that one"
            );
        }
        match self.verify(stored).await? {
            Some(identity) => Ok(identity),
            None => self.register_anew().await,
        }
    }

    /// Drops the key the server answered 401 to, and registers with the token, if there is one.
    pub(crate) async fn register_anew(&self) -> Result<Identity, Error> {
        warn!("the server no longer accepts the stored key; it is removed");
        self.data.forget_identity()?;
        self.register(Error::KeyRejected).await
    }

    /// Asks the server about the stored key; `None` where it answers 401.
    async fn verify(&self, mut identity: Identity) -> Result<Option<Identity>, Error> {
        let mut backoff = Backoff::new(self.limits);
        loop {
            match self.api.heartbeat(identity.satellite_id, &identity.api_key).await {
                Ok(()) => {
                    identity.last_verified = Some(clock::now());
                    match self.data.keep(&identity) {
                        // Only the time of this moment is not kept.
                        Err(Error::DataDir { source, .. }) if disk::is_disk_error(&source) => {
                            warn!("{}", self.data.disk().failed("its key", &source));
                        }
                        kept => kept?,
                    }
                    info!(satellite.id = %identity.satellite_id, "the stored key is valid");
                    return Ok(Some(identity));
                }
                Err(CallError::Status { status: StatusCode::UNAUTHORIZED, .. }) => return Ok(None),
                Err(error) => self.wait(&mut backoff, &error).await,
            }
        }
    }

    async fn register(&self, without_token: Error) -> Result<Identity, Error> {
        let Some(token) = &self.token else { return Err(without_token) };
        check_token(token)?;
        let unwritten = |source| Error::DataDir { path: self.data.join(""), source };
        let attempt = attempt::begin(&self.data.join(ATTEMPT)).map_err(unwritten)?;
        let mut backoff = Backoff::new(self.limits);
        loop {
            match self.try_to_register(token, &attempt).await {
                Ok(identity) => return self.keep(identity),
                Err(error) if error.is_passing() => self.wait(&mut backoff, &error).await,
                Err(CallError::Status { refusal: Some(refusal), .. }) => return Err(Error::Refused(refusal)),
                Err(error) => return Err(self.not_a_hive(&error)),
            }
        }
    }

    async fn try_to_register(&self, token: &SecretString, attempt: &str) -> Result<Identity, CallError> {
        // The token is shown only to something that says it is a hive.
        self.api.health().await?;
        let request = RegisterRequest { attempt: Some(attempt.to_owned()), ..self.request.clone() };
        let answer = self.api.register(token, &request).await?;
        Ok(Identity {
            satellite_id: answer.satellite.id,
            satellite_name: answer.satellite.name,
            api_key: answer.satellite.api_key.into(),
            registered_at: clock::now(),
            last_verified: None,
        })
    }

    fn keep(&self, identity: Identity) -> Result<Identity, Error> {
        self.data.keep(&identity)?;
        attempt::end(&self.data.join(ATTEMPT));
        info!(satellite.id = %identity.satellite_id, "satellite registered");
        Ok(identity)
    }

    /// Keeps the key the server gave in place of the one before. Where the disk does not take it, the satellite works with it
    /// until it stops, and says so.
    pub(crate) fn keep_new_key(&self, identity: &Identity) {
        match self.data.keep(identity) {
            Ok(()) => info!(satellite.id = %identity.satellite_id, "the satellite's key was replaced"),
            Err(error) => error!(%error, "cannot keep the satellite's new key; after a restart it must register again"),
        }
    }

    async fn wait(&self, backoff: &mut Backoff, error: &CallError) {
        let server = self.api.server().to_string();
        let delay = backoff.next_delay_after(error.retry_after(), random::roll());
        let message = messages::unreachable(&server, &error.cause(), self.language);
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

/// Refuses what cannot be a token, before anybody is asked.
fn check_token(token: &SecretString) -> Result<(), Error> {
    let token = token.expose_secret().trim();
    let bare = token.trim_matches(['<', '>', '"', '\'', '{', '}', '$', ' ']);
    let is_placeholder = PLACEHOLDERS.iter().any(|text| bare.eq_ignore_ascii_case(text)) || token.starts_with('<');
    if token.is_empty() {
        return Err(Error::TokenMissing);
    }
    if is_placeholder {
        return Err(Error::TokenPlaceholder);
    }
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match credential::registration_jwt(token) {
        Some(jwt) if jwt.split('.').count() == 3 && jwt.split('.').all(is_part) => Ok(()),
        Some(rest) if rest.starts_with('<') || rest.starts_with("...") || rest.starts_with('…') => {
            Err(Error::TokenPlaceholder)
        }
        _ => Err(Error::TokenMalformed),
    }
}

#[cfg(test)]
mod tests;
