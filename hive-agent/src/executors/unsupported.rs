//! Refuses commands of a kind that this version does not know.

use hive_wire::ErrorCode;
use hive_wire::agent::ErrorBody;

/// The refusal of a command of a kind that this agent does not know.
pub(crate) fn refusal(command_type: &str) -> ErrorBody {
    let message =
        format!("this satellite's agent does not know commands of the kind {command_type:?}; update the agent");
    ErrorBody { code: ErrorCode::Unsupported, message }
}
