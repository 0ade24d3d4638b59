//! The body of a command for several satellites. The fields of the command are beside the targets, or in an object
//! under `command`.
//!
//! The fields are listed again here instead of flattened: serde does not refuse unknown fields of a flattened struct,
//! and does not name a wrong one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::api::{ExecCommand, Priority};
use crate::open::known_opt;

/// A command and its targets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ExecBody {
    targets: Vec<String>,
    pub(super) concurrency: Option<u32>,
    pub(super) deadline_seconds: Option<u32>,
    command: CommandField,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    cwd: Option<String>,
    stdin: Option<String>,
    timeout_seconds: Option<u32>,
    expires_in_seconds: Option<u32>,
    idempotent: Option<bool>,
    #[serde(default, deserialize_with = "known_opt")]
    priority: Option<Priority>,
}

/// A field that is not allowed at its place.
#[derive(Debug, thiserror::Error)]
#[error("unknown field `{0}`")]
pub(super) struct UnknownField(pub(super) &'static str);

impl ExecBody {
    /// Returns the targets and the command, from either form.
    pub(super) fn parts(self) -> Result<(Vec<String>, ExecCommand), UnknownField> {
        let Self {
            targets,
            concurrency: _,
            deadline_seconds: _,
            command,
            args,
            env,
            cwd,
            stdin,
            timeout_seconds,
            expires_in_seconds,
            idempotent,
            priority,
        } = self;
        let command = match command {
            CommandField::Text(command) => command,
            CommandField::Object(command) => {
                // With fields in both places it would be unclear which of them count.
                let beside = [
                    ("args", args.is_some()),
                    ("env", env.is_some()),
                    ("cwd", cwd.is_some()),
                    ("stdin", stdin.is_some()),
                    ("timeout_seconds", timeout_seconds.is_some()),
                    ("expires_in_seconds", expires_in_seconds.is_some()),
                    ("idempotent", idempotent.is_some()),
                    ("priority", priority.is_some()),
                ];
                let unknown = beside.into_iter().find(|(_, is_there)| *is_there);
                return unknown.map_or(Ok((targets, *command)), |(name, _)| Err(UnknownField(name)));
            }
        };
        let (env, idempotent) = (env.unwrap_or_default(), idempotent.unwrap_or_default());
        let command =
            ExecCommand { command, args, env, cwd, stdin, timeout_seconds, expires_in_seconds, idempotent, priority };
        Ok((targets, command))
    }
}

/// The value of `command`.
enum CommandField {
    Text(String),
    Object(Box<ExecCommand>),
}

impl<'de> Deserialize<'de> for CommandField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CommandFieldVisitor)
    }
}

struct CommandFieldVisitor;

impl<'de> Visitor<'de> for CommandFieldVisitor {
    type Value = CommandField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or an object with the command's fields")
    }

    fn visit_str<E>(self, line: &str) -> Result<CommandField, E> {
        Ok(CommandField::Text(line.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CommandField, A::Error> {
        let command = ExecCommand::deserialize(MapAccessDeserializer::new(map))?;
        Ok(CommandField::Object(Box::new(command)))
    }
}
