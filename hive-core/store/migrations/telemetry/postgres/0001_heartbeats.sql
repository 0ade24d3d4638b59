-- Times are microseconds since the Unix epoch. Metrics are JSON text. Nothing here refers to another table, and none refers to this.

-- The last heartbeat of each satellite.
CREATE TABLE satellite_presence (
    satellite_id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT,
    -- How many heartbeats with metrics there were.
    seq BIGINT NOT NULL,
    timestamp BIGINT NOT NULL,
    -- The last that were reported.
    system_metrics TEXT
);

-- The heartbeats with metrics, numbered for each satellite. Older ones than the newest 500 or 1000 are deleted.
CREATE TABLE satellite_heartbeats (
    satellite_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    team_id TEXT,
    timestamp BIGINT NOT NULL,
    system_metrics TEXT NOT NULL,
    PRIMARY KEY (satellite_id, seq)
);
