//! The executors: one module per kind of command.

pub(crate) mod power;
pub(crate) mod process;
pub(crate) mod unsupported;

use std::path::Path;

use hive_wire::agent::{ErrorBody, ExecSpec, Payload};

/// The process that carries out a command.
pub(crate) fn exec_spec(payload: &Payload, power_helper: Option<&Path>) -> Result<ExecSpec, ErrorBody> {
    match payload {
        Payload::Exec(spec) => Ok(spec.clone()),
        Payload::Power(spec) => power::program(spec, power_helper),
        Payload::Unknown { command_type, .. } => Err(unsupported::refusal(command_type)),
    }
}
