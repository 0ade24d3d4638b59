//! What a command does, checked, as it is stored: environment values and standard input sealed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use data_encoding::BASE64;
use hive_wire::agent::{DEFAULT_TIMEOUT_SECONDS, ExecSpec, MAX_STDIN, MAX_TIMEOUT_SECONDS, Payload, PowerSpec};
use hive_wire::api::{CommandType, ExecCommand, PowerRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::queue::Rank;
use crate::audit::AuditAction;
use crate::audit::excerpt::{self, Details};
use crate::clock::ClockAndRng;
use crate::validate::{check_env, check_known, check_range, check_text};
use crate::vault::Vault;
use crate::{Error, Result};

/// The most bytes of a command line, its arguments and its environment together.
const MAX_COMMAND: usize = 128 * 1024;
/// Seconds in which a satellite must set a change of power going.
const POWER_TIMEOUT_SECONDS: u32 = 30;
/// The longest delay of a change of power: a week.
const MAX_POWER_DELAY_SECONDS: u32 = 7 * 24 * 3600;

/// A checked payload and how long it may take.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) payload: Payload,
    pub(crate) timeout_seconds: u32,
    pub(crate) idempotent: bool,
    pub(crate) expires_in_seconds: u32,
    /// Its rank, where the request has a priority.
    pub(crate) rank: Option<Rank>,
}

/// How long a command may wait for its satellite unless the request says otherwise.
const DEFAULT_EXPIRY_SECONDS: u32 = 300;
/// The longest a command may wait for its satellite: a week.
const MAX_EXPIRY_SECONDS: u32 = 7 * 24 * 3600;

/// The longest time from the acceptance of a command to its end: it waits, and then it runs.
pub(crate) const MAX_LIFE: Duration = Duration::from_secs(MAX_EXPIRY_SECONDS as u64 + MAX_TIMEOUT_SECONDS as u64);

/// Returns the audited action of a command of this kind for one satellite.
pub(crate) fn action_of(command_type: &CommandType) -> AuditAction {
    match command_type {
        CommandType::Exec => AuditAction::SatelliteExec,
        CommandType::Power => AuditAction::SatellitePower,
        CommandType::Unknown(_) => AuditAction::SatelliteCommand,
    }
}

impl Work {
    pub(crate) fn exec(command: ExecCommand) -> Result<Self> {
        let ExecCommand { command, args, env, cwd, stdin, timeout_seconds, expires_in_seconds, idempotent, priority } =
            command;
        let timeout_seconds = timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        check_range("timeout_seconds", timeout_seconds, 1, MAX_TIMEOUT_SECONDS)?;
        let expires_in_seconds = expires_in_seconds.unwrap_or(DEFAULT_EXPIRY_SECONDS);
        check_range("expires_in_seconds", expires_in_seconds, 1, MAX_EXPIRY_SECONDS)?;
        if let Some(priority) = &priority {
            check_known("priority", priority)?;
        }
        if command.trim().is_empty() {
            return Err(Error::invalid("command", "must not be empty"));
        }
        check_text("command", &command)?;
        for arg in args.iter().flatten() {
            check_text("args", arg)?;
        }
        check_env(&env)?;
        check_text("cwd", cwd.as_deref().unwrap_or_default())?;
        check_stdin(stdin.as_deref())?;
        // Without `stdin`, which has a limit of its own.
        let size = command.len() + args.iter().flatten().map(String::len).sum::<usize>();
        if size + env.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_COMMAND {
            return Err(Error::PayloadTooLarge(format!(
                "command, args and env are more than {MAX_COMMAND} bytes together"
            )));
        }
        let payload = Payload::Exec(ExecSpec { command, args, env, cwd, stdin, timeout_seconds });
        Ok(Self { payload, timeout_seconds, idempotent, expires_in_seconds, rank: priority.as_ref().map(Rank::of) })
    }

    pub(crate) fn power(request: PowerRequest) -> Result<Self> {
        let PowerRequest { action, delay_seconds, message, priority } = request;
        check_known("action", &action)?;
        if let Some(priority) = &priority {
            check_known("priority", priority)?;
        }
        check_range("delay_seconds", delay_seconds, 0, MAX_POWER_DELAY_SECONDS)?;
        let is_plain = |text: &str| text.chars().count() <= 256 && !text.chars().any(char::is_control);
        if message.as_deref().is_some_and(|text| !is_plain(text)) {
            return Err(Error::invalid("message", "at most 256 characters, none of them control characters"));
        }
        let payload = Payload::Power(PowerSpec { action, delay_seconds, message });
        Ok(Self {
            payload,
            timeout_seconds: POWER_TIMEOUT_SECONDS,
            // Two reboots are not the same as one.
            idempotent: false,
            expires_in_seconds: DEFAULT_EXPIRY_SECONDS,
            rank: priority.as_ref().map(Rank::of),
        })
    }

    /// Returns its rank, in a call whose commands have the rank `usual`.
    pub(crate) fn rank(&self, usual: Rank) -> Rank {
        self.rank.unwrap_or(usual)
    }

    /// The same, with this rank unless the request has a priority.
    pub(crate) fn ranked(self, usual: Rank) -> Self {
        Self { rank: Some(self.rank(usual)), ..self }
    }

    pub(crate) fn command_type(&self) -> CommandType {
        self.payload.command_type()
    }

    /// The command in one line, for lists: cut where it is long.
    pub(crate) fn summary(&self) -> String {
        excerpt::summary(self.line())
    }

    /// The command in one line.
    fn line(&self) -> String {
        match &self.payload {
            Payload::Exec(ExecSpec { command, args: None, .. }) => command.clone(),
            Payload::Exec(ExecSpec { command, args: Some(args), .. }) => {
                std::iter::once(command).chain(args).map(String::as_str).collect::<Vec<_>>().join(" ")
            }
            Payload::Power(power) => power.action.as_str().to_owned(),
            Payload::Unknown { .. } => String::new(),
        }
    }

    /// The details of its audit record: names of variables, never their values.
    pub(crate) fn details(&self, vault: &Vault) -> Details {
        let details = Details::default();
        match &self.payload {
            Payload::Exec(exec) => {
                let details = match &exec.cwd {
                    Some(cwd) => details.with_text("cwd", cwd),
                    None => details.with("cwd", Value::Null),
                };
                // `check_stdin` has decoded it before, so that this does not fail.
                let stdin = exec.stdin.as_ref().map(|stdin| BASE64.decode(stdin.as_bytes()).unwrap_or_default());
                details
                    .with_text("command", &self.line())
                    .with("shell", json!(exec.args.is_none()))
                    .with_env(&exec.env, vault)
                    .with_stdin(stdin.as_deref(), vault)
                    .with("timeout_seconds", json!(exec.timeout_seconds))
            }
            Payload::Power(power) => {
                details.with("action", json!(power.action)).with("delay_seconds", json!(power.delay_seconds))
            }
            Payload::Unknown { .. } => details,
        }
    }
}

/// A payload as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredPayload {
    #[serde(flatten)]
    open: Payload,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    /// The digest of the open part: a command that was changed on the disk is not run. Earlier versions wrote none. A field that
    /// is added must not be serialised where it is empty, so that the digests of earlier versions stay valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// What of a payload is sealed.
#[derive(Serialize, Deserialize)]
struct Secrets {
    env: BTreeMap<String, String>,
    stdin: Option<String>,
}

/// Serialises a payload for the store. It can be opened for this command or job alone.
pub(crate) fn seal(payload: &Payload, id: impl Display, vault: &Vault, source: &ClockAndRng) -> String {
    let mut open = payload.clone();
    let mut sealed = None;
    if let Payload::Exec(exec) = &mut open {
        let secrets = Secrets { env: std::mem::take(&mut exec.env), stdin: exec.stdin.take() };
        if !secrets.env.is_empty() || secrets.stdin.is_some() {
            let text = zeroize::Zeroizing::new(serde_json::to_vec(&secrets).expect("secrets are plain data"));
            sealed = Some(vault.seal(source, id.to_string().as_bytes(), &text));
        }
    }
    let digest = Some(digest(&open, id));
    serde_json::to_string(&StoredPayload { open, sealed, digest }).expect("payloads are plain data")
}

/// Reads a stored payload.
pub(crate) fn unseal(stored: &str, id: impl Display, vault: &Vault) -> Result<Payload> {
    let StoredPayload { mut open, sealed, digest: written } = serde_json::from_str(stored).map_err(Error::internal)?;
    if written.is_some_and(|written| written != digest(&open, &id)) {
        return Err(Error::internal("the stored command was changed"));
    }
    if let (Payload::Exec(exec), Some(sealed)) = (&mut open, sealed) {
        let text = vault.open(id.to_string().as_bytes(), &sealed).map_err(Error::internal)?;
        let secrets: Secrets = serde_json::from_slice(&text).map_err(Error::internal)?;
        exec.env = secrets.env;
        exec.stdin = secrets.stdin;
    }
    Ok(open)
}

fn digest(open: &Payload, id: impl Display) -> String {
    let text = serde_json::to_string(open).expect("payloads are plain data");
    // Without a key: it finds damage, but not a change by somebody who can write the digest as well.
    let digest = Sha256::new().chain_update(id.to_string()).chain_update(text).finalize();
    data_encoding::HEXLOWER.encode(&digest[..16])
}

fn check_stdin(stdin: Option<&str>) -> Result<()> {
    let Some(stdin) = stdin else { return Ok(()) };
    let bytes = BASE64.decode(stdin.as_bytes()).map_err(|_| Error::invalid("stdin", "must be base64"))?;
    if bytes.len() > MAX_STDIN {
        return Err(Error::PayloadTooLarge(format!("stdin: more than {MAX_STDIN} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;
    use hive_wire::CommandId;

    #[test]
    fn environment_and_input_are_stored_sealed_and_for_one_command() {
        let source = ClockAndRng::default();
        let keys = Keys::generate(&source);
        let mut command = ExecCommand::shell("deploy");
        command.env.insert("TOKEN".into(), "hunter2".into());
        command.stdin = Some(BASE64.encode(b"hunter2"));
        let work = Work::exec(command).unwrap();
        let (id, other) = (CommandId::new(source.seed()), CommandId::new(source.seed()));
        let stored = seal(&work.payload, id, &keys.vault, &source);
        assert!(!stored.contains("hunter2") && !stored.contains(&BASE64.encode(b"hunter2")), "{stored}");
        assert!(!work.details(&keys.vault).into_value().to_string().contains("hunter2"));
        assert_eq!(unseal(&stored, id, &keys.vault).unwrap(), work.payload);
        assert!(unseal(&stored, other, &keys.vault).is_err());
    }

    #[test]
    fn a_command_that_was_changed_is_not_run() {
        let source = ClockAndRng::default();
        let keys = Keys::generate(&source);
        let work = Work::exec(ExecCommand::shell("rm -r /tmp/x")).unwrap();
        let id = CommandId::new(source.seed());
        let stored = seal(&work.payload, id, &keys.vault, &source);
        assert_eq!(unseal(&stored, id, &keys.vault).unwrap(), work.payload);
        assert!(unseal(&stored.replace("/tmp/x", "/tmp x"), id, &keys.vault).is_err());
        let (old, _) = stored.split_once(",\"digest\"").unwrap();
        assert_eq!(
            unseal(&format!("{old}}}"), id, &keys.vault).unwrap(),
            work.payload,
            "as an earlier version stored it"
        );
    }

    #[test]
    fn a_field_that_breaks_a_rule_is_named() {
        let check = |field: &str, command: ExecCommand| {
            let error = Work::exec(command).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        };
        check("command", ExecCommand::shell("  "));
        check("command", ExecCommand::shell("a\0b"));
        check("timeout_seconds", ExecCommand { timeout_seconds: Some(0), ..ExecCommand::shell("true") });
        check("stdin", ExecCommand { stdin: Some("not base64!".into()), ..ExecCommand::shell("true") });
        check("env", ExecCommand { env: [("A=B".into(), String::new())].into(), ..ExecCommand::shell("true") });
        check("expires_in_seconds", ExecCommand { expires_in_seconds: Some(u32::MAX), ..ExecCommand::shell("true") });
    }
}
