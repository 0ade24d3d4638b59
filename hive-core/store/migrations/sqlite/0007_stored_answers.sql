-- The answers of calls with an idempotency key that give no command and no job. The row of the key itself, which decides between
-- calls, is in idempotency_keys, so that one user's keys are one namespace.
CREATE TABLE stored_answers (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    -- The operation that was called.
    route TEXT NOT NULL,
    -- Until when the call counts as running. Its server moves it forward while the call runs.
    leased_until INTEGER NOT NULL,
    -- What is known of the answer, as JSON. NULL while the call runs, and for ever if its server died in between.
    answer TEXT,
    body BLOB,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX stored_answers_expiry ON stored_answers (expires_at);
