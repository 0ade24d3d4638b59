-- Times are microseconds since the Unix epoch; lists and objects are JSON text.

-- One row: which hive this is, and the fingerprints of the key files that sealed and signed what is in this database.
CREATE TABLE hive (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    keys TEXT NOT NULL
);

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    email TEXT UNIQUE,
    role TEXT NOT NULL,
    -- None for users who log in elsewhere.
    password_hash TEXT,
    -- Logins of earlier generations are dead.
    login_generation INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    -- Since when neither logins nor keys of the user are taken.
    disabled_at INTEGER
);

CREATE TABLE team_members (
    team_id TEXT NOT NULL REFERENCES teams (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    PRIMARY KEY (team_id, user_id)
);

CREATE INDEX team_members_user ON team_members (user_id);

CREATE TABLE logins (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    -- Refresh tokens that follow from each other.
    family TEXT NOT NULL,
    -- `browser` or `token`.
    kind TEXT NOT NULL,
    generation INTEGER NOT NULL,
    user_agent TEXT,
    address TEXT,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
);

CREATE INDEX logins_user ON logins (user_id, created_at);
CREATE INDEX logins_family ON logins (family);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL DEFAULT 'personal',
    name TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    scopes TEXT,
    -- The resource the key is for, the credential it was made with, the satellites and addresses it is limited to.
    audience TEXT,
    parent TEXT,
    selector TEXT,
    addresses TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER
);

CREATE INDEX api_keys_user ON api_keys (user_id, created_at);
CREATE INDEX api_keys_parent ON api_keys (parent) WHERE parent IS NOT NULL;

CREATE TABLE registration_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL,
    team_id TEXT REFERENCES teams (id),
    description TEXT,
    -- Tags a satellite gets with it, and patterns of tags it may claim.
    tags TEXT NOT NULL DEFAULT '[]',
    allowed_tags TEXT NOT NULL DEFAULT '[]',
    -- The one satellite whose place it may take.
    for_satellite TEXT,
    max_uses INTEGER NOT NULL DEFAULT 1,
    uses INTEGER NOT NULL DEFAULT 0,
    -- The attempt that used it up, which may ask again, and the satellite it registered.
    attempt_hash TEXT,
    satellite_id TEXT,
    actor TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    authorised_by TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    revoked_at INTEGER,
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
);

CREATE INDEX registration_tokens_team ON registration_tokens (team_id, created_at);

CREATE TABLE satellites (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    satellite_type TEXT NOT NULL,
    team_id TEXT REFERENCES teams (id),
    status TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    -- Repeated in satellite_tags, which is there to search by.
    tags TEXT NOT NULL,
    -- What the agent says of itself beyond them; matches nothing.
    claimed_tags TEXT NOT NULL DEFAULT '[]',
    api_key_hash TEXT,
    key_generation INTEGER NOT NULL,
    -- The process and the journal of its last link, and how far that journal had come.
    start_id TEXT,
    journal_id TEXT,
    journal_position INTEGER,
    -- When two processes were last seen with its key at once.
    conflict_at INTEGER,
    last_heartbeat INTEGER,
    hostname TEXT NOT NULL,
    system_info TEXT NOT NULL,
    agent_version TEXT,
    satellite_url TEXT,
    region TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
);

-- A name is free again once its satellite is removed.
CREATE UNIQUE INDEX satellites_name ON satellites (name) WHERE deleted_at IS NULL;
CREATE INDEX satellites_team ON satellites (team_id, name);

CREATE TABLE satellite_tags (
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    tag TEXT NOT NULL,
    PRIMARY KEY (satellite_id, tag)
);

CREATE INDEX satellite_tags_tag ON satellite_tags (tag, satellite_id);

-- Keys that were replaced. They log nobody in: they tell a machine that was rolled back from an unknown one.
CREATE TABLE superseded_keys (
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    generation INTEGER NOT NULL,
    key_hash TEXT NOT NULL,
    superseded_at INTEGER NOT NULL,
    PRIMARY KEY (satellite_id, generation)
);

CREATE INDEX superseded_keys_age ON superseded_keys (superseded_at);

CREATE TABLE satellite_commands (
    id TEXT NOT NULL PRIMARY KEY,
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    job_id TEXT,
    command_type TEXT NOT NULL,
    -- 0 immediate, 1 high, 2 normal, 3 low.
    priority INTEGER NOT NULL DEFAULT 2,
    correlation_id TEXT,
    payload TEXT NOT NULL,
    summary TEXT NOT NULL,
    idempotent BOOLEAN NOT NULL,
    timeout_seconds INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    authorised_by TEXT NOT NULL,
    created_by TEXT NOT NULL,
    target_team_id TEXT,
    status TEXT NOT NULL,
    journal_id TEXT,
    -- How often it was handed over, and until when a satellite without a journal may hold it.
    attempts INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    exit_code INTEGER,
    duration_ms INTEGER,
    truncated BOOLEAN NOT NULL,
    error_code TEXT,
    error_message TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    delivered_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    updated_at INTEGER NOT NULL,
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
);

CREATE INDEX satellite_commands_satellite ON satellite_commands (satellite_id, created_at);
CREATE INDEX satellite_commands_open ON satellite_commands (satellite_id, priority, created_at, id)
    WHERE finished_at IS NULL;
CREATE INDEX satellite_commands_expiry ON satellite_commands (expires_at) WHERE finished_at IS NULL;
-- Commands that were ended with their satellite's removal or change of team, and that it may run still.
CREATE INDEX satellite_commands_revoked ON satellite_commands (satellite_id, finished_at)
    WHERE finished_at IS NOT NULL AND journal_id IS NOT NULL AND error_code = 'SATELLITE_NOT_FOUND';

CREATE TABLE command_output (
    command_id TEXT NOT NULL REFERENCES satellite_commands (id),
    channel TEXT NOT NULL,
    first_byte INTEGER NOT NULL,
    length INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (command_id, channel, first_byte)
);

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
    actor_kind TEXT NOT NULL,
    authorised_by TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    cancelled_at INTEGER,
    finished_at INTEGER,
    -- How its targets ended, once all have.
    counts TEXT,
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
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

-- A key stands for commands, or for a job.
CREATE TABLE idempotency_keys (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    command_ids TEXT NOT NULL,
    job_id TEXT,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    team_id TEXT REFERENCES teams (id),
    status TEXT NOT NULL,
    screen_cols INTEGER NOT NULL,
    screen_rows INTEGER NOT NULL,
    shell TEXT,
    actor TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    authorised_by TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason TEXT,
    exit_code INTEGER,
    error_code TEXT,
    error_message TEXT,
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
);

CREATE INDEX sessions_created ON sessions (created_at, id);
CREATE INDEX sessions_satellite ON sessions (satellite_id, created_at, id);
-- Ended ones pile up, and what is asked for at every start and every link are the few that are open.
CREATE INDEX sessions_open ON sessions (created_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_open_satellite ON sessions (satellite_id, created_at, id) WHERE ended_at IS NULL;

-- `record` is what was hashed and what is read back; the columns in front of it are there to search by, and a
-- verification compares them.
CREATE TABLE audit_log (
    seq INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    timestamp INTEGER NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    target_type TEXT NOT NULL,
    target_id TEXT NOT NULL,
    satellite_id TEXT,
    team_id TEXT,
    record TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE INDEX audit_log_action ON audit_log (action);
CREATE INDEX audit_log_actor ON audit_log (actor_id);
CREATE INDEX audit_log_satellite ON audit_log (satellite_id) WHERE satellite_id IS NOT NULL;
CREATE INDEX audit_log_team ON audit_log (team_id) WHERE team_id IS NOT NULL;
