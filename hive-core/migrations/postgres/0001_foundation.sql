-- Times are microseconds since the Unix epoch; lists and objects are JSON text.

CREATE TABLE teams (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    slug TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username TEXT COLLATE "C" NOT NULL UNIQUE,
    role TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE team_members (
    team_id TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    role TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (team_id, user_id)
);

CREATE INDEX team_members_user ON team_members (user_id);

CREATE TABLE api_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    name TEXT COLLATE "C" NOT NULL,
    key_hash TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX api_keys_user ON api_keys (user_id, created_at);

CREATE TABLE registration_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    scope TEXT COLLATE "C" NOT NULL,
    team_id TEXT COLLATE "C" REFERENCES teams (id),
    description TEXT COLLATE "C",
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX registration_tokens_team ON registration_tokens (team_id, created_at);

CREATE TABLE satellites (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    satellite_type TEXT COLLATE "C" NOT NULL,
    team_id TEXT COLLATE "C" REFERENCES teams (id),
    status TEXT COLLATE "C" NOT NULL,
    capabilities TEXT COLLATE "C" NOT NULL,
    -- Repeated in satellite_tags, which is there to search by.
    tags TEXT COLLATE "C" NOT NULL,
    api_key_hash TEXT COLLATE "C",
    key_generation BIGINT NOT NULL,
    last_heartbeat BIGINT,
    hostname TEXT COLLATE "C" NOT NULL,
    system_info TEXT COLLATE "C" NOT NULL,
    agent_version TEXT COLLATE "C",
    satellite_url TEXT COLLATE "C",
    region TEXT COLLATE "C",
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE INDEX satellites_team ON satellites (team_id, name);

CREATE TABLE satellite_tags (
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    tag TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (satellite_id, tag)
);

CREATE INDEX satellite_tags_tag ON satellite_tags (tag, satellite_id);

CREATE TABLE satellite_commands (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    job_id TEXT COLLATE "C",
    command_type TEXT COLLATE "C" NOT NULL,
    payload TEXT COLLATE "C" NOT NULL,
    summary TEXT COLLATE "C" NOT NULL,
    idempotent BOOLEAN NOT NULL,
    timeout_seconds BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    target_team_id TEXT COLLATE "C",
    status TEXT COLLATE "C" NOT NULL,
    journal_id TEXT COLLATE "C",
    exit_code BIGINT,
    duration_ms BIGINT,
    truncated BOOLEAN NOT NULL,
    error_code TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    delivered_at BIGINT,
    started_at BIGINT,
    finished_at BIGINT,
    updated_at BIGINT NOT NULL
);

CREATE INDEX satellite_commands_satellite ON satellite_commands (satellite_id, created_at);
CREATE INDEX satellite_commands_open ON satellite_commands (satellite_id, created_at) WHERE finished_at IS NULL;

CREATE TABLE command_output (
    command_id TEXT COLLATE "C" NOT NULL REFERENCES satellite_commands (id),
    channel TEXT COLLATE "C" NOT NULL,
    first_byte BIGINT NOT NULL,
    length BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (command_id, channel, first_byte)
);

CREATE TABLE idempotency_keys (
    owner TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    body_hash TEXT COLLATE "C" NOT NULL,
    command_ids TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- `record` is what was hashed and what is read back; the columns in front of it are there to search by, and a
-- verification compares them.
CREATE TABLE audit_log (
    seq BIGINT NOT NULL PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    timestamp BIGINT NOT NULL,
    actor_id TEXT COLLATE "C" NOT NULL,
    actor_name TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    target_type TEXT COLLATE "C" NOT NULL,
    target_id TEXT COLLATE "C" NOT NULL,
    satellite_id TEXT COLLATE "C",
    team_id TEXT COLLATE "C",
    record TEXT COLLATE "C" NOT NULL,
    previous_hash TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL
);

CREATE INDEX audit_log_action ON audit_log (action);
CREATE INDEX audit_log_actor ON audit_log (actor_id);
CREATE INDEX audit_log_satellite ON audit_log (satellite_id) WHERE satellite_id IS NOT NULL;
CREATE INDEX audit_log_team ON audit_log (team_id) WHERE team_id IS NOT NULL;
