-- A job keeps the names of its satellites as text, and does not keep the satellites: without a reference, a removed satellite can
-- be deleted. SQLite changes a constraint by a new table.
CREATE TABLE job_targets_new (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    place INTEGER NOT NULL,
    satellite_id TEXT NOT NULL,
    satellite_name TEXT NOT NULL,
    team_id TEXT,
    command_id TEXT REFERENCES satellite_commands (id),
    -- The reason why there is no command.
    error_code TEXT,
    error_message TEXT,
    PRIMARY KEY (job_id, place)
);

INSERT INTO job_targets_new (job_id, place, satellite_id, satellite_name, team_id, command_id, error_code, error_message)
    SELECT job_id, place, satellite_id, satellite_name, team_id, command_id, error_code, error_message FROM job_targets;

DROP TABLE job_targets;

ALTER TABLE job_targets_new RENAME TO job_targets;

-- For the deletion of commands, which checks that no target refers to them.
CREATE INDEX job_targets_command ON job_targets (command_id);

CREATE INDEX satellites_removed ON satellites (deleted_at) WHERE deleted_at IS NOT NULL;
