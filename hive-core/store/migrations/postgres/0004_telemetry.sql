-- The time of the last heartbeat is telemetry, which has a database or tables of its own.
ALTER TABLE satellites DROP COLUMN last_heartbeat;
