-- Groups of satellites: those that a group lists, and those that its tag query selects.
CREATE TABLE satellite_groups (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- NULL for a group of the whole hive.
    team_id TEXT REFERENCES teams (id),
    query TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

-- Two NULLs are different for a unique index, and two groups of the whole hive must not have the same name.
CREATE UNIQUE INDEX satellite_groups_name ON satellite_groups (name, COALESCE(team_id, ''));
CREATE INDEX satellite_groups_team ON satellite_groups (team_id, name);

-- A satellite that is removed leaves its groups in the same transaction.
CREATE TABLE satellite_group_members (
    group_id TEXT NOT NULL REFERENCES satellite_groups (id),
    satellite_id TEXT NOT NULL REFERENCES satellites (id),
    PRIMARY KEY (group_id, satellite_id)
);

CREATE INDEX satellite_group_members_satellite ON satellite_group_members (satellite_id);
