-- Indexes for lists, counts and housekeeping, so that none of them reads a whole table.

-- Commands past their expiry or their timeout are looked for every few seconds: one index for those in the queue, by their
-- expiry, and one for those that were delivered, by the end of their timeout.
DROP INDEX satellite_commands_expiry;
CREATE INDEX satellite_commands_queued ON satellite_commands (expires_at)
    WHERE finished_at IS NULL AND status = 'queued';
CREATE INDEX satellite_commands_due ON satellite_commands ((delivered_at + timeout_seconds * 1000000))
    WHERE finished_at IS NULL AND status <> 'queued';

-- It has what the count of a satellite's commands needs.
DROP INDEX satellite_commands_satellite;
CREATE INDEX satellite_commands_satellite ON satellite_commands (satellite_id, created_at, id, target_team_id);

-- It has what a list of ids and a count need, without the descriptions of the machines.
CREATE INDEX satellites_listed ON satellites (name, id, team_id, status) WHERE deleted_at IS NULL;

CREATE INDEX registration_tokens_satellite ON registration_tokens (satellite_id, used_at) WHERE satellite_id IS NOT NULL;
CREATE INDEX job_teams_team ON job_teams (team_id, job_id);
CREATE INDEX audit_log_actor_name ON audit_log (actor_name);
CREATE INDEX audit_log_timestamp ON audit_log (timestamp);
