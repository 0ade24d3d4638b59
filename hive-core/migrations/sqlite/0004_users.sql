-- Since when neither logins nor keys of the user are taken.
ALTER TABLE users ADD COLUMN disabled_at INTEGER;
-- Logins of earlier generations are dead.
ALTER TABLE users ADD COLUMN login_generation INTEGER NOT NULL DEFAULT 0;
