-- A job keeps the names of its satellites as text, and does not keep the satellites: without a reference, a removed satellite can
-- be deleted.
ALTER TABLE job_targets DROP CONSTRAINT job_targets_satellite_id_fkey;

-- For the deletion of commands, which checks that no target refers to them.
CREATE INDEX job_targets_command ON job_targets (command_id);

CREATE INDEX satellites_removed ON satellites (deleted_at) WHERE deleted_at IS NOT NULL;
