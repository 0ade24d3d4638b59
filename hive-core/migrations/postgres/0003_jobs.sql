CREATE TABLE jobs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- What each of its commands does; they hold none of it themselves.
    payload TEXT COLLATE "C" NOT NULL,
    summary TEXT COLLATE "C" NOT NULL,
    asked TEXT COLLATE "C" NOT NULL,
    -- Repeated in job_teams, which is there to search by.
    teams TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    concurrency BIGINT NOT NULL,
    timeout_seconds BIGINT NOT NULL,
    expires_in_seconds BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    deadline_at BIGINT NOT NULL,
    cancelled_at BIGINT,
    finished_at BIGINT,
    -- How its targets ended, once all have.
    counts TEXT COLLATE "C"
);

CREATE INDEX jobs_created ON jobs (created_at, id);
CREATE INDEX jobs_open ON jobs (created_at, id) WHERE finished_at IS NULL;

-- Empty text stands for satellites of the whole hive.
CREATE TABLE job_teams (
    job_id TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    team_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (job_id, team_id)
);

CREATE TABLE job_targets (
    job_id TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    place BIGINT NOT NULL,
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    satellite_name TEXT COLLATE "C" NOT NULL,
    team_id TEXT COLLATE "C",
    command_id TEXT COLLATE "C" REFERENCES satellite_commands (id),
    -- Why there is no command.
    error_code TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    PRIMARY KEY (job_id, place)
);

-- A key stands for a command, or for a job.
ALTER TABLE idempotency_keys ADD COLUMN job_id TEXT COLLATE "C";
