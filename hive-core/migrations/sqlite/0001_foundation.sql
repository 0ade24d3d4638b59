-- Times are microseconds since the Unix epoch; lists and objects are JSON text.

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE team_members (
    team_id TEXT NOT NULL REFERENCES teams (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    PRIMARY KEY (team_id, user_id)
);

CREATE INDEX team_members_user ON team_members (user_id);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    scopes TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
);

CREATE INDEX api_keys_user ON api_keys (user_id, created_at);

CREATE TABLE registration_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL,
    team_id TEXT REFERENCES teams (id),
    description TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    revoked_at INTEGER
);

CREATE INDEX registration_tokens_team ON registration_tokens (team_id, created_at);

CREATE TABLE satellites (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    satellite_type TEXT NOT NULL,
    team_id TEXT REFERENCES teams (id),
    status TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    -- Repeated in satellite_tags, which is there to search by.
    tags TEXT NOT NULL,
    api_key_hash TEXT,
    key_generation INTEGER NOT NULL,
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

CREATE INDEX satellites_team ON satellites (team_id, name);

CREATE TABLE satellite_tags (
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    tag TEXT NOT NULL,
    PRIMARY KEY (satellite_id, tag)
);

CREATE INDEX satellite_tags_tag ON satellite_tags (tag, satellite_id);

CREATE TABLE satellite_commands (
    id TEXT NOT NULL PRIMARY KEY,
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    job_id TEXT,
    command_type TEXT NOT NULL,
    payload TEXT NOT NULL,
    summary TEXT NOT NULL,
    idempotent BOOLEAN NOT NULL,
    timeout_seconds INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_by TEXT NOT NULL,
    target_team_id TEXT,
    status TEXT NOT NULL,
    journal_id TEXT,
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
    updated_at INTEGER NOT NULL
);

CREATE INDEX satellite_commands_satellite ON satellite_commands (satellite_id, created_at);
CREATE INDEX satellite_commands_open ON satellite_commands (satellite_id, created_at) WHERE finished_at IS NULL;

CREATE TABLE command_output (
    command_id TEXT NOT NULL REFERENCES satellite_commands (id),
    channel TEXT NOT NULL,
    first_byte INTEGER NOT NULL,
    length INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (command_id, channel, first_byte)
);

CREATE TABLE idempotency_keys (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    command_ids TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

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
