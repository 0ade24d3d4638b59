CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    team_id TEXT REFERENCES teams (id),
    status TEXT NOT NULL,
    screen_cols INTEGER NOT NULL,
    screen_rows INTEGER NOT NULL,
    shell TEXT,
    actor TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason TEXT,
    exit_code INTEGER,
    error_code TEXT,
    error_message TEXT
);

CREATE INDEX sessions_created ON sessions (created_at, id);
CREATE INDEX sessions_satellite ON sessions (satellite_id, created_at, id);
-- Ended ones pile up, and what is asked for at every start and every link are the few that are open.
CREATE INDEX sessions_open ON sessions (created_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_open_satellite ON sessions (satellite_id, created_at, id) WHERE ended_at IS NULL;
