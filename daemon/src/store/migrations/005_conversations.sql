-- What answers of models leave behind for a client's next request. An owner is a digest of what the
-- client presented; bodies are JSON text that only the adapters read. Times are milliseconds since the
-- Unix epoch.

-- Answers that continue each other, with all they left: kept together, forgotten together.
CREATE TABLE conversations (
    conversation INTEGER NOT NULL PRIMARY KEY,
    owner BLOB NOT NULL,
    -- When something was added; where something was only looked up, behind by up to a day.
    used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_by_age ON conversations (used_at);

CREATE TABLE conversation_answers (
    owner BLOB NOT NULL,
    id TEXT NOT NULL,
    conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
    -- The answer that this one continues.
    parent TEXT,
    -- 1 once the client has deleted it: it stays only for those that continue it.
    deleted INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL GENERATED ALWAYS AS (octet_length(body)),
    UNIQUE (owner, id)
) STRICT;
CREATE INDEX conversation_answers_by_conversation ON conversation_answers (conversation, bytes);
CREATE INDEX conversation_answers_by_parent ON conversation_answers (owner, parent)
    WHERE parent IS NOT NULL;

-- Found by a key that the client's next request has, or leads to.
CREATE TABLE conversation_items (
    owner BLOB NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('fragment', 'pin', 'approval')),
    key TEXT NOT NULL,
    conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
    -- The one that left it; it need not be kept itself.
    answer TEXT NOT NULL,
    -- Of an approval: 1 once a request has acted on it.
    used INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL GENERATED ALWAYS AS (octet_length(body)),
    UNIQUE (owner, kind, key)
) STRICT;
CREATE INDEX conversation_items_by_conversation ON conversation_items (conversation, bytes);

-- Requests that are being answered, or were a moment ago. The same request sent once more finds its
-- run by `key`; of several, the newest. Numbers are not used twice.
CREATE TABLE conversation_runs (
    run INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner BLOB NOT NULL,
    key BLOB NOT NULL,
    used_at INTEGER NOT NULL,
    -- Its id, once it is complete.
    answer TEXT
) STRICT;
CREATE INDEX conversation_runs_by_key ON conversation_runs (owner, key);

CREATE TABLE conversation_steps (
    run INTEGER NOT NULL REFERENCES conversation_runs ON DELETE CASCADE,
    n INTEGER NOT NULL,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL GENERATED ALWAYS AS (octet_length(body)),
    UNIQUE (run, n)
) STRICT;
CREATE INDEX conversation_steps_by_size ON conversation_steps (bytes);
