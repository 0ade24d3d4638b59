//! Statements for jobs.

use crate::sql::many_rows::ManyRowsStatement;

macro_rules! job_columns {
    () => {
        "j.id, j.status, j.summary, j.asked, j.teams, j.concurrency, j.timeout_seconds, j.expires_in_seconds, j.actor, \
         j.created_at, j.deadline_at, j.cancelled_at, j.finished_at, j.counts"
    };
}

pub(in crate::sql) const JOB_INSERT: &str = "INSERT INTO jobs (id, payload, summary, asked, teams, status, concurrency, \
     timeout_seconds, expires_in_seconds, actor, actor_kind, created_by, authorised_by, created_at, deadline_at) \
     VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, $8, $9, $10, $11, $12, $13, $14)";
pub(in crate::sql) static JOB_TEAM_INSERT: ManyRowsStatement = ManyRowsStatement::new(
    "job, team",
    "INSERT INTO job_teams (job_id, team_id) SELECT v.job, v.team FROM v WHERE v.job IS NOT NULL",
);
pub(in crate::sql) static JOB_TARGET_INSERT: ManyRowsStatement = ManyRowsStatement::new(
    "job, place, satellite, name, team, command, code, message",
    "INSERT INTO job_targets (job_id, place, satellite_id, satellite_name, team_id, command_id, error_code, error_message) \
     SELECT v.job, v.place, v.satellite, v.name, v.team, v.command, v.code, v.message FROM v WHERE v.job IS NOT NULL",
);
pub(in crate::sql) const JOB_PAYLOAD: &str = "SELECT payload FROM jobs WHERE id = $1";
pub(in crate::sql) const JOB_GET: &str =
    concat!("SELECT ", job_columns!(), " FROM jobs j WHERE j.id = $1 AND j.created_at >= 0");
pub(in crate::sql) const JOB_LIST: &str = concat!("SELECT ", job_columns!(), " FROM jobs j");
pub(in crate::sql) const JOB_IDS: &str = "SELECT j.id FROM jobs j";
pub(in crate::sql) const JOB_ROWS_COUNTED: &str = counted!("jobs j");
/// A job that is being stored is hidden: its row has the negative of its time.
pub(in crate::sql) const JOB_IS_SHOWN: &str = "j.created_at >= 0";
pub(in crate::sql) const JOB_SHOW: &str =
    "UPDATE jobs SET created_at = -created_at WHERE id = $1 AND created_at < 0 AND finished_at IS NULL";
pub(in crate::sql) const JOB_LIST_HIDDEN: &str =
    "SELECT id FROM jobs WHERE finished_at IS NULL AND created_at < 0 AND created_at > $1";
pub(in crate::sql) const JOB_COMMANDS_END_HIDDEN: &str = "UPDATE satellite_commands SET status = 'cancelled', \
     finished_at = $2, updated_at = $2 WHERE finished_at IS NULL \
     AND id IN (SELECT command_id FROM job_targets WHERE job_id = $1 AND place >= $3 AND place < $4) \
     AND EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND created_at < 0)";
pub(in crate::sql) const JOB_END_HIDDEN: &str =
    "UPDATE jobs SET finished_at = $2 WHERE id = $1 AND created_at < 0 AND finished_at IS NULL";
/// `filter` appends the teams in visible to both.
pub(in crate::sql) const JOBS_OF_TEAMS: &str = "SELECT job_id FROM job_teams WHERE team_id";
pub(in crate::sql) const JOB_TEAMS_ELSEWHERE: &str = "SELECT 1 FROM job_teams t WHERE t.job_id = j.id AND t.team_id";
/// `filter` appends the satellites that a caller is limited to.
pub(in crate::sql) const JOB_TARGETS_UNSELECTED: &str =
    "SELECT 1 FROM job_targets g WHERE g.job_id = j.id AND g.satellite_id";
pub(in crate::sql) const JOB_LIST_OPEN: &str =
    "SELECT id FROM jobs WHERE finished_at IS NULL AND created_at >= 0 ORDER BY created_at, id";
/// `filter` appends the ids of the jobs.
pub(in crate::sql) const JOB_COUNTS: &str = "SELECT t.job_id AS job_id, c.status AS status, COUNT(*) AS targets \
     FROM job_targets t LEFT JOIN satellite_commands c ON c.id = t.command_id";
pub(in crate::sql) const JOB_COUNTS_GROUPS: &str = " GROUP BY t.job_id, c.status";
// A target without a command has the error of the target, any other that of its command.
pub(in crate::sql) const JOB_TARGET_LIST: &str = "SELECT t.place, t.satellite_id, t.satellite_name, t.team_id, t.command_id, c.status, \
     c.exit_code, c.duration_ms, COALESCE(c.truncated, FALSE) AS truncated, \
     COALESCE(t.error_code, c.error_code) AS error_code, COALESCE(t.error_message, c.error_message) AS error_message, \
     c.expires_at, c.finished_at, \
     COALESCE((SELECT MAX(first_byte + length) FROM command_output WHERE command_id = t.command_id \
     AND channel = 'stdout'), 0) AS stdout_bytes, \
     COALESCE((SELECT MAX(first_byte + length) FROM command_output WHERE command_id = t.command_id \
     AND channel = 'stderr'), 0) AS stderr_bytes \
     FROM job_targets t LEFT JOIN satellite_commands c ON c.id = t.command_id";
pub(in crate::sql) const JOB_TARGET_COUNT: &str = "SELECT COUNT(*) AS total FROM job_targets WHERE job_id = $1";
pub(in crate::sql) const JOB_TARGET_ROWS_COUNTED: &str = counted!("job_targets t");
pub(in crate::sql) const JOB_CANCEL: &str =
    "UPDATE jobs SET status = 'cancelling', cancelled_at = $2 WHERE id = $1 AND status = 'running' AND created_at >= 0";
// Delivered commands are left out: their satellites end them, and report it.
pub(in crate::sql) const JOB_COMMANDS_CANCEL: &str = "UPDATE satellite_commands SET status = 'cancelled', finished_at = $2, \
     updated_at = $2 WHERE status = 'queued' AND id IN (SELECT command_id FROM job_targets WHERE job_id = $1)";
// Open commands are checked in the same statement: a job ends once, and after its last command.
pub(in crate::sql) const JOB_FINISH: &str = "UPDATE jobs SET status = $2, counts = $3, finished_at = $4 \
     WHERE id = $1 AND finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM job_targets t \
     JOIN satellite_commands c ON c.id = t.command_id WHERE t.job_id = $1 AND c.finished_at IS NULL)";
