CREATE TABLE sessions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    satellite_id TEXT COLLATE "C" NOT NULL REFERENCES satellites (id),
    team_id TEXT COLLATE "C" REFERENCES teams (id),
    status TEXT COLLATE "C" NOT NULL,
    screen_cols BIGINT NOT NULL,
    screen_rows BIGINT NOT NULL,
    shell TEXT COLLATE "C",
    actor TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    end_reason TEXT COLLATE "C",
    exit_code BIGINT,
    error_code TEXT COLLATE "C",
    error_message TEXT COLLATE "C"
);

CREATE INDEX sessions_created ON sessions (created_at, id);
CREATE INDEX sessions_satellite ON sessions (satellite_id, created_at, id);
-- Ended ones pile up, and what is asked for at every start and every link are the few that are open.
CREATE INDEX sessions_open ON sessions (created_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_open_satellite ON sessions (satellite_id, created_at, id) WHERE ended_at IS NULL;
