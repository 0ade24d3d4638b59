//! Commands as they are sent to satellites, and their results.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::ErrorBody;
use crate::Timestamp;
use crate::command::{CommandStatus, CommandType, PowerAction};
use crate::id::CommandId;
use crate::open_enum;

/// A command on its way to a satellite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    /// Its id. A command runs at most once.
    pub id: CommandId,
    /// How long after it was sent it may still be started, in milliseconds; relative, because clocks differ.
    pub expires_in_ms: u64,
    /// When it was sent, by a clock of the server that does not jump. The satellite compares it with that of other
    /// messages of the link, to compute how long this one was in transit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// How much of its output the server has from an earlier link.
    #[serde(default)]
    pub received: Received,
    /// Whether its start was reported to the server before. A journal that does not know the command is then not the
    /// one that reported it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub started: bool,
    /// What to do.
    #[serde(flatten)]
    pub payload: Payload,
}

/// How much of a command's output the server has, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Received {
    /// Of its standard output.
    pub stdout: u64,
    /// Of its standard error.
    pub stderr: u64,
}

/// What a command does.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// Runs a program.
    Exec(ExecSpec),
    /// Shuts down, reboots, …
    Power(PowerSpec),
    /// Something that this version does not know: a satellite refuses it with `UNSUPPORTED`.
    Unknown {
        /// The word of `command_type`.
        command_type: Box<str>,
        /// What to do, as it was read. May hold secrets.
        payload: Value,
    },
}

impl Payload {
    /// Returns its type.
    pub fn command_type(&self) -> CommandType {
        match self {
            Self::Exec(_) => CommandType::Exec,
            Self::Power(_) => CommandType::Power,
            Self::Unknown { command_type, .. } => CommandType::Unknown(command_type.clone()),
        }
    }

    /// Returns the payload without its type.
    pub fn to_value(&self) -> serde_json::Result<Value> {
        match self {
            Self::Exec(spec) => serde_json::to_value(spec),
            Self::Power(spec) => serde_json::to_value(spec),
            Self::Unknown { payload, .. } => Ok(payload.clone()),
        }
    }

    /// Builds a payload from its [`Self::command_type`] and [`Self::to_value`].
    pub fn from_parts(command_type: CommandType, payload: Value) -> serde_json::Result<Self> {
        match command_type {
            CommandType::Exec => serde_json::from_value(payload).map(Self::Exec),
            CommandType::Power => serde_json::from_value(payload).map(Self::Power),
            CommandType::Unknown(command_type) => Ok(Self::Unknown { command_type, payload }),
        }
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exec(spec) => f.debug_tuple("Exec").field(spec).finish(),
            Self::Power(spec) => f.debug_tuple("Power").field(spec).finish(),
            Self::Unknown { command_type, .. } => {
                f.debug_struct("Unknown").field("command_type", command_type).finish_non_exhaustive()
            }
        }
    }
}

/// The two fields of a payload. Serde's own adjacent tags cannot keep the content of an unknown tag.
#[derive(Serialize, Deserialize)]
struct Tagged<K, P> {
    command_type: K,
    payload: P,
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exec(payload) => Tagged { command_type: "exec", payload }.serialize(serializer),
            Self::Power(payload) => Tagged { command_type: "power", payload }.serialize(serializer),
            Self::Unknown { command_type, payload } => Tagged { command_type, payload }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The payload is read as any value first: that of an unknown type is kept.
        let Tagged { command_type, payload } = Tagged::deserialize(deserializer)?;
        Self::from_parts(command_type, payload).map_err(D::Error::custom)
    }
}

/// A program to run.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecSpec {
    /// A line for `/bin/sh -c`, or the program where `args` is there.
    pub command: String,
    /// With it, the program runs without a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Added to the environment. Values may be secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The working directory; the home of the user of the agent unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Its standard input, base64; `/dev/null` unless given. May be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Seconds after which it is killed.
    pub timeout_seconds: u32,
}

impl std::fmt::Debug for ExecSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecSpec")
            .field("command", &self.command)
            .field("args", &self.args)
            // The names alone: values may be secrets.
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("stdin", &self.stdin.is_some())
            .field("timeout_seconds", &self.timeout_seconds)
            .finish()
    }
}

/// A change of the machine's power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PowerSpec {
    /// The change.
    pub action: PowerAction,
    /// Seconds until it happens.
    #[serde(default)]
    pub delay_seconds: u32,
    /// Shown to users who are logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

open_enum! {
    /// One of a command's outputs.
    pub enum Channel {
        /// Standard output.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandResult {
    /// The command.
    pub id: CommandId,
    /// A terminal status.
    pub status: CommandStatus,
    /// The exit code; 128 + the number of the signal that ended it; none if it never ran or timed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of output sent, each stream from its beginning.
    pub sent: Received,
    /// Whether output beyond [`MAX_OUTPUT`](super::MAX_OUTPUT) was dropped.
    #[serde(default)]
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

#[cfg(feature = "openapi")]
mod schemas {
    use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema};
    use utoipa::openapi::{Ref, RefOr};
    use utoipa::{PartialSchema, ToSchema};

    use super::{ExecSpec, Payload, PowerSpec};
    use crate::schema::{Collected, add, text};

    impl PartialSchema for Payload {
        fn schema() -> RefOr<Schema> {
            let kind = |word: &str, payload: &str| {
                let word = text().enum_values(Some([word]));
                let payload = Ref::from_schema_name(payload);
                ObjectBuilder::new()
                    .property("command_type", word)
                    .property("payload", payload)
                    .required("command_type")
                    .required("payload")
            };
            OneOfBuilder::new()
                .description(Some("What a command does."))
                .item(kind("exec", "ExecSpec"))
                .item(kind("power", "PowerSpec"))
                .into()
        }
    }

    impl ToSchema for Payload {
        fn schemas(schemas: &mut Collected) {
            add::<ExecSpec>(schemas);
            add::<PowerSpec>(schemas);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_environment_and_input_are_not_printed() {
        let spec = ExecSpec {
            env: [("KEY".into(), "hunter2".into())].into(),
            stdin: Some("hunter2".into()),
            ..ExecSpec::default()
        };
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}
