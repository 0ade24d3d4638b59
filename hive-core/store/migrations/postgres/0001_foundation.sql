-- Times are microseconds since the Unix epoch. Lists and objects are JSON text.

-- One row: the id of the hive, and the fingerprints of the keys that sealed and signed the contents of this database.
CREATE TABLE hive (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    keys TEXT COLLATE "C" NOT NULL
);

CREATE TABLE teams (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    slug TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username TEXT COLLATE "C" NOT NULL UNIQUE,
    email TEXT COLLATE "C" UNIQUE,
    role TEXT COLLATE "C" NOT NULL,
    -- NULL for users of an external identity provider.
    password_hash TEXT COLLATE "C",
    -- Logins of earlier generations are invalid.
    login_generation BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    -- Logins and keys of a disabled user are refused.
    disabled_at BIGINT
);

CREATE TABLE team_members (
    team_id TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    role TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (team_id, user_id)
);

CREATE INDEX team_members_user ON team_members (user_id);

CREATE TABLE logins (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    -- The refresh tokens that were issued one after the other.
    family TEXT COLLATE "C" NOT NULL,
    -- `browser` or `token`.
    kind TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL,
    user_agent TEXT COLLATE "C",
    address TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE INDEX logins_user ON logins (user_id, created_at);
CREATE INDEX logins_family ON logins (family);

CREATE TABLE api_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    kind TEXT COLLATE "C" NOT NULL DEFAULT 'personal',
    name TEXT COLLATE "C" NOT NULL,
    key_hash TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C",
    -- The resource of the key, the credential that created it, and the satellites and addresses to which it is limited.
    audience TEXT COLLATE "C",
    parent TEXT COLLATE "C",
    selector TEXT COLLATE "C",
    addresses TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX api_keys_user ON api_keys (user_id, created_at);
CREATE INDEX api_keys_parent ON api_keys (parent) WHERE parent IS NOT NULL;

CREATE TABLE registration_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    scope TEXT COLLATE "C" NOT NULL,
    team_id TEXT COLLATE "C" REFERENCES teams (id),
    description TEXT COLLATE "C",
    -- The tags that a satellite gets, and patterns of tags that it may claim.
    tags TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    allowed_tags TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    -- The only satellite that it may take over.
    for_satellite TEXT COLLATE "C",
    max_uses BIGINT NOT NULL DEFAULT 1,
    uses BIGINT NOT NULL DEFAULT 0,
    -- The attempt that consumed it, which may be repeated, and the satellite that it registered.
    attempt_hash TEXT COLLATE "C",
    satellite_id TEXT COLLATE "C",
    actor TEXT COLLATE "C" NOT NULL,
    actor_kind TEXT COLLATE "C" NOT NULL,
    authorised_by TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    revoked_at BIGINT,
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
);

CREATE INDEX registration_tokens_team ON registration_tokens (team_id, created_at);

CREATE TABLE satellites (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    satellite_type TEXT COLLATE "C" NOT NULL,
    team_id TEXT COLLATE "C" REFERENCES teams (id),
    status TEXT COLLATE "C" NOT NULL,
    capabilities TEXT COLLATE "C" NOT NULL,
    -- Repeated in satellite_tags, for searches.
    tags TEXT COLLATE "C" NOT NULL,
    -- Other tags that the agent claims. They select nothing.
    claimed_tags TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    api_key_hash TEXT COLLATE "C",
    key_generation BIGINT NOT NULL,
    -- The process and the journal of its last link, and the number of records of that journal.
    start_id TEXT COLLATE "C",
    journal_id TEXT COLLATE "C",
    journal_position BIGINT,
    -- When two processes with its key were last seen at the same time.
    conflict_at BIGINT,
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

-- The name of a removed satellite is free.
CREATE UNIQUE INDEX satellites_name ON satellites (name) WHERE deleted_at IS NULL;
CREATE INDEX satellites_team ON satellites (team_id, name);

CREATE TABLE satellite_tags (
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    tag TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (satellite_id, tag)
);

CREATE INDEX satellite_tags_tag ON satellite_tags (tag, satellite_id);

-- Keys that were replaced. They authenticate nobody. They distinguish a machine that was rolled back from an unknown one.
CREATE TABLE superseded_keys (
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    generation BIGINT NOT NULL,
    key_hash TEXT COLLATE "C" NOT NULL,
    superseded_at BIGINT NOT NULL,
    PRIMARY KEY (satellite_id, generation)
);

CREATE INDEX superseded_keys_age ON superseded_keys (superseded_at);

CREATE TABLE satellite_commands (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    job_id TEXT COLLATE "C",
    command_type TEXT COLLATE "C" NOT NULL,
    -- 0 immediate, 1 high, 2 normal, 3 low.
    priority BIGINT NOT NULL DEFAULT 2,
    correlation_id TEXT COLLATE "C",
    payload TEXT COLLATE "C" NOT NULL,
    summary TEXT COLLATE "C" NOT NULL,
    idempotent BOOLEAN NOT NULL,
    timeout_seconds BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    actor_kind TEXT COLLATE "C" NOT NULL,
    authorised_by TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    target_team_id TEXT COLLATE "C",
    status TEXT COLLATE "C" NOT NULL,
    journal_id TEXT COLLATE "C",
    -- The number of deliveries, and until when a satellite without a journal may hold the command.
    attempts BIGINT NOT NULL DEFAULT 0,
    lease_until BIGINT,
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
    updated_at BIGINT NOT NULL,
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
    command_id TEXT COLLATE "C" NOT NULL REFERENCES satellite_commands (id),
    channel TEXT COLLATE "C" NOT NULL,
    first_byte BIGINT NOT NULL,
    length BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (command_id, channel, first_byte)
);

CREATE TABLE jobs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- The payload of all its commands, which have none of their own.
    payload TEXT COLLATE "C" NOT NULL,
    summary TEXT COLLATE "C" NOT NULL,
    asked TEXT COLLATE "C" NOT NULL,
    -- Repeated in job_teams, for searches.
    teams TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    concurrency BIGINT NOT NULL,
    timeout_seconds BIGINT NOT NULL,
    expires_in_seconds BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    actor_kind TEXT COLLATE "C" NOT NULL,
    authorised_by TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    deadline_at BIGINT NOT NULL,
    cancelled_at BIGINT,
    finished_at BIGINT,
    -- The number of targets by final status, after the end.
    counts TEXT COLLATE "C",
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
);

CREATE INDEX jobs_created ON jobs (created_at, id);
CREATE INDEX jobs_open ON jobs (created_at, id) WHERE finished_at IS NULL;

-- An empty text stands for global satellites: a column of a primary key cannot be NULL.
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
    -- The reason why there is no command.
    error_code TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    PRIMARY KEY (job_id, place)
);

-- A key is of commands, or of a job.
CREATE TABLE idempotency_keys (
    owner TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    body_hash TEXT COLLATE "C" NOT NULL,
    command_ids TEXT COLLATE "C" NOT NULL,
    job_id TEXT COLLATE "C",
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE sessions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    team_id TEXT COLLATE "C" REFERENCES teams (id),
    status TEXT COLLATE "C" NOT NULL,
    screen_cols BIGINT NOT NULL,
    screen_rows BIGINT NOT NULL,
    shell TEXT COLLATE "C",
    actor TEXT COLLATE "C" NOT NULL,
    actor_kind TEXT COLLATE "C" NOT NULL,
    authorised_by TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    end_reason TEXT COLLATE "C",
    exit_code BIGINT,
    error_code TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
);

CREATE INDEX sessions_created ON sessions (created_at, id);
CREATE INDEX sessions_satellite ON sessions (satellite_id, created_at, id);
-- Most sessions have ended. The open ones are read at every start and for every link.
CREATE INDEX sessions_open ON sessions (created_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_open_satellite ON sessions (satellite_id, created_at, id) WHERE ended_at IS NULL;

-- `record` is the text that is hashed and read. The columns before it are for searches. A verification compares them.
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
