-- Times are microseconds since the Unix epoch. Metrics are JSON text. Nothing here refers to another table, and none refers to this.

-- The last heartbeat of each satellite.
CREATE TABLE satellite_presence (
    satellite_id TEXT NOT NULL PRIMARY KEY,
    team_id TEXT,
    -- How many heartbeats with metrics there were.
    seq INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    -- The last that were reported.
    system_metrics TEXT
) WITHOUT ROWID;

-- The heartbeats with metrics, numbered for each satellite. Older ones than the newest 500 or 1000 are deleted.
CREATE TABLE satellite_heartbeats (
    satellite_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    team_id TEXT,
    timestamp INTEGER NOT NULL,
    system_metrics TEXT NOT NULL,
    PRIMARY KEY (satellite_id, seq)
) WITHOUT ROWID;
