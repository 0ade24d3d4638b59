CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    -- What each of its commands does; they hold none of it themselves.
    payload TEXT NOT NULL,
    summary TEXT NOT NULL,
    asked TEXT NOT NULL,
    -- Repeated in job_teams, which is there to search by.
    teams TEXT NOT NULL,
    status TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    timeout_seconds INTEGER NOT NULL,
    expires_in_seconds INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    cancelled_at INTEGER,
    finished_at INTEGER,
    -- How its targets ended, once all have.
    counts TEXT
);

CREATE INDEX jobs_created ON jobs (created_at, id);
CREATE INDEX jobs_open ON jobs (created_at, id) WHERE finished_at IS NULL;

-- Empty text stands for satellites of the whole hive.
CREATE TABLE job_teams (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    team_id TEXT NOT NULL,
    PRIMARY KEY (job_id, team_id)
);

CREATE TABLE job_targets (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    place INTEGER NOT NULL,
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    satellite_name TEXT NOT NULL,
    team_id TEXT,
    command_id TEXT REFERENCES satellite_commands (id),
    -- Why there is no command.
    error_code TEXT,
    error_message TEXT,
    PRIMARY KEY (job_id, place)
);

-- A key stands for a command, or for a job.
ALTER TABLE idempotency_keys ADD COLUMN job_id TEXT;
