//! What of commands and jobs a caller without `commands.read` does not get: lines, arguments, messages of errors and output, also where a
//! record of the audit log has them. That there is something which is not shown is said by `redacted`.

use hive_wire::TeamId;
use hive_wire::api::{AuditEntry, CommandInfo, Job, JobTarget};
use hive_wire::code::ErrorBody;

use crate::access::{Permission, Principal, visible_scope};
use crate::store::audit::AuditAction;

/// The actions whose records have what was run.
const ABOUT_COMMANDS: [AuditAction; 6] = [
    AuditAction::SatelliteExec,
    AuditAction::SatellitePower,
    AuditAction::SatelliteCommand,
    AuditAction::SatelliteExecMulti,
    AuditAction::CommandCancel,
    AuditAction::JobCancel,
];
/// What of the details of such a record says nothing of what was run.
const VISIBLE_DETAILS: [&str; 8] =
    ["command_id", "job_id", "status", "exit_code", "counts", "concurrency", "timeout_seconds", "revoked"];

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

/// Redacts a record of the audit log, if it is about a command or a job.
pub(crate) fn redact_record(entry: &mut AuditEntry) {
    if !ABOUT_COMMANDS.iter().any(|action| entry.action == action.as_str()) {
        return;
    }
    entry.error = None;
    if let Some(details) = entry.details.as_object_mut() {
        // By a list of what may be seen: a field that is added later is hidden until it is listed.
        details.retain(|field, _| VISIBLE_DETAILS.contains(&field.as_str()));
        details.insert("redacted".into(), true.into());
    }
}

/// A message may quote the command line. Its code stays.
fn redact_error(error: Option<&mut ErrorBody>) {
    if let Some(error) = error {
        error.message.clear();
    }
}
