//! The body of a command for several satellites. The fields of the command are beside the targets, or in an object
//! under `command`.
//!
//! The fields are listed again here instead of flattened: serde does not refuse unknown fields of a flattened struct,
//! and does not name a wrong one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::api::{ExecCommand, Priority};
use crate::open::known_opt;

/// A command and its targets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ExecBody<T = Vec<String>> {
    targets: T,
    pub(super) concurrency: Option<u32>,
    pub(super) confirm: Option<u64>,
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

/// In the place of targets: a body that has none, because its path names the group.
pub(super) struct NoTargets;

impl<'de> Deserialize<'de> for NoTargets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A missing field is read as an option that is not there.
        match Option::<IgnoredAny>::deserialize(deserializer)? {
            None => Ok(Self),
            Some(_) => Err(D::Error::custom("unknown field `targets`: the satellites are those of the group")),
        }
    }
}

impl<T> ExecBody<T> {
    /// Returns the targets and the command, from either form.
    pub(super) fn parts(self) -> Result<(T, ExecCommand), UnknownField> {
        let Self {
            targets,
            concurrency: _,
            confirm: _,
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

#[cfg(feature = "openapi")]
mod schemas {
    use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
    use utoipa::openapi::{Ref, RefOr};
    use utoipa::{PartialSchema, ToSchema};

    use crate::api::{ExecCommand, ExecGroupRequest, ExecManyRequest, JobCreate, MAX_IN_FLIGHT};
    use crate::schema::{Collected, TargetText, add};

    /// The body of a command for several satellites: the fields of the command beside these, or in an object under `command`.
    fn body(description: &str, own: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>) -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut body)) = ExecCommand::schema() else {
            unreachable!("the derived schema of a struct is an object")
        };
        body.description = Some(description.to_owned());
        let line = body.properties.get("command").cloned();
        let command = OneOfBuilder::new()
            .description(Some(
                "A line for `/bin/sh -c`, the program where `args` is there, or an object with all fields of the command.",
            ))
            .item(line.expect("a command has a line"))
            .item(Ref::from_schema_name(ExecCommand::name()));
        body.properties.insert("command".to_owned(), command.into());
        body.properties.extend(own.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
        body.into()
    }

    /// The same, with the targets.
    fn with_targets(description: &str, own: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>) -> RefOr<Schema> {
        let own = own.into_iter().chain([("targets", targets())]);
        let RefOr::T(Schema::Object(mut body)) = body(description, own) else {
            unreachable!("the body of a command is an object")
        };
        body.required.push("targets".to_owned());
        body.into()
    }

    fn targets() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(Ref::from_schema_name(TargetText::name()))
            .min_items(Some(1))
            .max_items(Some(10_000))
            .description(Some("What to run it on."))
            .into()
    }

    fn concurrency() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Integer, Type::Null]));
        let description = format!("The most that run at the same time; 64 unless given, at most {MAX_IN_FLIGHT}.");
        number.minimum(Some(1)).maximum(Some(MAX_IN_FLIGHT as isize)).description(Some(description)).into()
    }

    fn confirm() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Integer, Type::Null]));
        let description = "The number of satellites that the caller expects. Where there are another number, nothing is stored (409).";
        number.minimum(Some(0)).maximum(Some(u64::MAX as usize)).description(Some(description)).into()
    }

    impl PartialSchema for ExecGroupRequest {
        fn schema() -> RefOr<Schema> {
            body("A command for the satellites of a group.", [("concurrency", concurrency()), ("confirm", confirm())])
        }
    }

    impl ToSchema for ExecGroupRequest {
        fn schemas(schemas: &mut Collected) {
            add::<ExecCommand>(schemas);
        }
    }

    impl PartialSchema for ExecManyRequest {
        fn schema() -> RefOr<Schema> {
            let own = [("concurrency", concurrency()), ("confirm", confirm())];
            with_targets("A command for several satellites.", own)
        }
    }

    impl ToSchema for ExecManyRequest {
        fn schemas(schemas: &mut Collected) {
            add::<ExecCommand>(schemas);
            add::<TargetText>(schemas);
        }
    }

    impl PartialSchema for JobCreate {
        fn schema() -> RefOr<Schema> {
            let number = ObjectBuilder::new()
                .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
                .minimum(Some(1))
                .maximum(Some(7 * 24 * 3600));
            let deadline =
                number.description(Some("How long targets may wait for their turn, in seconds; a day unless given."));
            let own = [("concurrency", concurrency()), ("confirm", confirm()), ("deadline_seconds", deadline.into())];
            with_targets("The request to start a job.", own)
        }
    }

    impl ToSchema for JobCreate {
        fn schemas(schemas: &mut Collected) {
            add::<ExecCommand>(schemas);
            add::<TargetText>(schemas);
        }
    }
}
