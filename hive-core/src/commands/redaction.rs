//! What of commands and jobs a caller without `commands.read` does not get: lines, arguments, messages of errors and output. That there
//! is something which is not shown is said by `redacted`.

use hive_wire::TeamId;
use hive_wire::api::{CommandInfo, Job, JobTarget};
use hive_wire::code::ErrorBody;

use crate::access::{Permission, Principal, visible_scope};

/// Whether a caller reads what was run in all of these teams. That the caller sees the row is checked before.
pub(crate) fn may_read(principal: &Principal, teams: impl IntoIterator<Item = Option<TeamId>>) -> bool {
    let readable = visible_scope(principal, &Permission::CommandsRead).teams;
    teams.into_iter().all(|team| readable.covers(team))
}

pub(crate) fn redact_command(info: &mut CommandInfo) {
    info.redacted = true;
    info.summary.clear();
    info.stdout.clear();
    info.stderr.clear();
    redact_error(info.error.as_mut());
}

pub(crate) fn redact_job(job: &mut Job) {
    job.redacted = true;
    job.summary.clear();
}

pub(crate) fn redact_target(target: &mut JobTarget) {
    redact_error(target.error.as_mut());
}

/// A message may quote the command line. Its code stays.
fn redact_error(error: Option<&mut ErrorBody>) {
    if let Some(error) = error {
        error.message.clear();
    }
}
