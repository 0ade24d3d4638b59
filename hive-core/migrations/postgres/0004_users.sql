-- Since when neither logins nor keys of the user are taken.
ALTER TABLE users ADD COLUMN disabled_at BIGINT;
-- Logins of earlier generations are dead.
ALTER TABLE users ADD COLUMN login_generation BIGINT NOT NULL DEFAULT 0;
