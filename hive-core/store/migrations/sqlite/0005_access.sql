-- The secret before the last rotation, and until when it goes on.
ALTER TABLE api_keys ADD COLUMN previous_hash TEXT;
ALTER TABLE api_keys ADD COLUMN previous_until INTEGER;
-- Calls a minute; NULL for no limit.
ALTER TABLE api_keys ADD COLUMN rate_per_minute INTEGER;

-- The user or key that made a token, by which its tokens are revoked with it.
ALTER TABLE registration_tokens ADD COLUMN actor_id TEXT;
UPDATE registration_tokens SET actor_id = json_extract(actor, '$.id');
CREATE INDEX registration_tokens_actor ON registration_tokens (actor_id)
    WHERE used_at IS NULL AND revoked_at IS NULL;
