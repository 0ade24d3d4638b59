-- Times are microseconds since the Unix epoch. Lists and objects are JSON text.

-- One row: the id of the hive, and the fingerprints of the keys that sealed and signed the contents of this database.
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
    -- NULL for users of an external identity provider.
    password_hash TEXT,
    -- Logins of earlier generations are invalid.
    login_generation INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    -- Logins and keys of a disabled user are refused.
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
    -- The refresh tokens that were issued one after the other.
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
    -- The resource of the key, the credential that created it, and the satellites and addresses to which it is limited.
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
    -- The tags that a satellite gets, and patterns of tags that it may claim.
    tags TEXT NOT NULL DEFAULT '[]',
    allowed_tags TEXT NOT NULL DEFAULT '[]',
    -- The only satellite that it may take over.
    for_satellite TEXT,
    max_uses INTEGER NOT NULL DEFAULT 1,
    uses INTEGER NOT NULL DEFAULT 0,
    -- The attempt that consumed it, which may be repeated, and the satellite that it registered.
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
    -- Repeated in satellite_tags, for searches.
    tags TEXT NOT NULL,
    -- Other tags that the agent claims. They select nothing.
    claimed_tags TEXT NOT NULL DEFAULT '[]',
    api_key_hash TEXT,
    key_generation INTEGER NOT NULL,
    -- The process and the journal of its last link, and the number of records of that journal.
    start_id TEXT,
    journal_id TEXT,
    journal_position INTEGER,
    -- When two processes with its key were last seen at the same time.
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

-- The name of a removed satellite is free.
CREATE UNIQUE INDEX satellites_name ON satellites (name) WHERE deleted_at IS NULL;
CREATE INDEX satellites_team ON satellites (team_id, name);

CREATE TABLE satellite_tags (
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    tag TEXT NOT NULL,
    PRIMARY KEY (satellite_id, tag)
);

CREATE INDEX satellite_tags_tag ON satellite_tags (tag, satellite_id);

-- Keys that were replaced. They authenticate nobody. They distinguish a machine that was rolled back from an unknown one.
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
    -- The number of deliveries, and until when a satellite without a journal may hold the command.
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
-- Commands that ended because their satellite was removed or assigned to another team. The satellite may still run them.
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
    -- The payload of all its commands, which have none of their own.
    payload TEXT NOT NULL,
    summary TEXT NOT NULL,
    asked TEXT NOT NULL,
    -- Repeated in job_teams, for searches.
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
    -- The number of targets by final status, after the end.
    counts TEXT,
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
);

CREATE INDEX jobs_created ON jobs (created_at, id);
CREATE INDEX jobs_open ON jobs (created_at, id) WHERE finished_at IS NULL;

-- An empty text stands for global satellites: a column of a primary key cannot be NULL.
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
    -- The reason why there is no command.
    error_code TEXT,
    error_message TEXT,
    PRIMARY KEY (job_id, place)
);

-- A key is of commands, or of a job.
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
-- Most sessions have ended. The open ones are read at every start and for every link.
CREATE INDEX sessions_open ON sessions (created_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_open_satellite ON sessions (satellite_id, created_at, id) WHERE ended_at IS NULL;

-- `record` is the text that is hashed and read. The columns before it are for searches. A verification compares them.
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
