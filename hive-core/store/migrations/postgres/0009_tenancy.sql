-- The networks from which the members of a team may use it, and from which a satellite may connect: JSON, NULL for everywhere.
ALTER TABLE teams ADD COLUMN addresses TEXT COLLATE "C";
ALTER TABLE satellites ADD COLUMN addresses TEXT COLLATE "C";
CREATE INDEX teams_addresses ON teams (id) WHERE addresses IS NOT NULL;
CREATE INDEX satellites_addresses ON satellites (id) WHERE addresses IS NOT NULL AND deleted_at IS NULL;

-- What the members with the role `team_user` may do: `operator` or `viewer`.
ALTER TABLE teams ADD COLUMN team_user TEXT COLLATE "C" NOT NULL DEFAULT 'viewer';
