-- Each order of a list has an index, so that a page reads its own rows only.

-- By name there is `satellites_listed`.
CREATE INDEX satellites_by_status ON satellites (status, id) WHERE deleted_at IS NULL;
CREATE INDEX satellites_by_age ON satellites (created_at, id) WHERE deleted_at IS NULL;

-- Jobs without an end are last in both directions: the numbers stand for a missing time.
CREATE INDEX jobs_by_end ON jobs (COALESCE(finished_at, 9000000000000000000), id);
CREATE INDEX jobs_by_end_descending ON jobs (COALESCE(finished_at, -9000000000000000000), id);

CREATE INDEX satellite_groups_by_age ON satellite_groups (created_at, id);
CREATE INDEX satellite_groups_by_name ON satellite_groups (name, id);
CREATE INDEX users_by_age ON users (created_at, id);
CREATE INDEX teams_by_age ON teams (created_at, id);

DROP INDEX api_keys_user;
CREATE INDEX api_keys_user ON api_keys (user_id, created_at, id);
CREATE INDEX api_keys_by_name ON api_keys (user_id, name, id);
CREATE INDEX api_keys_by_use ON api_keys (user_id, COALESCE(last_used_at, 9000000000000000000), id);
CREATE INDEX api_keys_by_use_descending ON api_keys (user_id, COALESCE(last_used_at, -9000000000000000000), id);

CREATE INDEX registration_tokens_by_age ON registration_tokens (created_at, id);
CREATE INDEX registration_tokens_by_end ON registration_tokens (expires_at, id);

-- For the number of a team's sessions.
CREATE INDEX sessions_team ON sessions (team_id, created_at, id);
