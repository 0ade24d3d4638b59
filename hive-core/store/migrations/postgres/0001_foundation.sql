-- Times are microseconds since the Unix epoch; lists and objects are JSON text.

-- One row: which hive this is, and the fingerprints of the key files that sealed and signed what is in this database.
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
    -- None for users who log in elsewhere.
    password_hash TEXT COLLATE "C",
    -- Logins of earlier generations are dead.
    login_generation BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    -- Since when neither logins nor keys of the user are taken.
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
    -- Refresh tokens that follow from each other.
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
    -- The resource the key is for, the credential it was made with, the satellites and addresses it is limited to.
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
    -- Tags a satellite gets with it, and patterns of tags it may claim.
    tags TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    allowed_tags TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    -- The one satellite whose place it may take.
    for_satellite TEXT COLLATE "C",
    max_uses BIGINT NOT NULL DEFAULT 1,
    uses BIGINT NOT NULL DEFAULT 0,
    -- The attempt that used it up, which may ask again, and the satellite it registered.
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
    -- Repeated in satellite_tags, which is there to search by.
    tags TEXT COLLATE "C" NOT NULL,
    -- What the agent says of itself beyond them; matches nothing.
    claimed_tags TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    api_key_hash TEXT COLLATE "C",
    key_generation BIGINT NOT NULL,
    -- The process and the journal of its last link, and how far that journal had come.
    start_id TEXT COLLATE "C",
    journal_id TEXT COLLATE "C",
    journal_position BIGINT,
    -- When two processes were last seen with its key at once.
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

-- A name is free again once its satellite is removed.
CREATE UNIQUE INDEX satellites_name ON satellites (name) WHERE deleted_at IS NULL;
CREATE INDEX satellites_team ON satellites (team_id, name);

CREATE TABLE satellite_tags (
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    tag TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (satellite_id, tag)
);

CREATE INDEX satellite_tags_tag ON satellite_tags (tag, satellite_id);

-- Keys that were replaced. They log nobody in: they tell a machine that was rolled back from an unknown one.
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
    -- How often it was handed over, and until when a satellite without a journal may hold it.
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
-- Commands that were ended with their satellite's removal or change of team, and that it may run still.
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
    actor_kind TEXT COLLATE "C" NOT NULL,
    authorised_by TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    deadline_at BIGINT NOT NULL,
    cancelled_at BIGINT,
    finished_at BIGINT,
    -- How its targets ended, once all have.
    counts TEXT COLLATE "C",
    CHECK (actor_kind <> 'mcp' OR authorised_by LIKE 'rule:%' OR authorised_by LIKE 'plan:%')
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

-- A key stands for commands, or for a job.
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
-- Ended ones pile up, and what is asked for at every start and every link are the few that are open.
CREATE INDEX sessions_open ON sessions (created_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_open_satellite ON sessions (satellite_id, created_at, id) WHERE ended_at IS NULL;

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
