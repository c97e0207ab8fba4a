-- What is known of the tools of each server: the definition a person relies on (pinned) and the one
-- that was listed last (seen). They differ while a change waits for approval; a new tool has no pinned one.

CREATE TABLE catalog_servers (
    server       TEXT PRIMARY KEY,
    -- The pins are worth nothing for another address.
    url          TEXT NOT NULL,
    -- Milliseconds since the Unix epoch of the first page of a list; the baseline is taken from then on.
    opened_at    INTEGER,
    -- 1 once the baseline is taken: what is new after that is held.
    complete     INTEGER NOT NULL DEFAULT 0,
    -- 1 if the server says that it tells of changed lists.
    announces    INTEGER NOT NULL DEFAULT 0,
    -- NULL until a handshake was seen; '' where the server had nothing to say.
    instructions_pinned TEXT,
    instructions_seen   TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE catalog_tools (
    server  TEXT NOT NULL REFERENCES catalog_servers (server) ON DELETE CASCADE,
    tool    TEXT NOT NULL,
    -- Canonical JSON.
    pinned  TEXT,
    seen    TEXT NOT NULL,
    -- SHA-256 of what was listed last, also where it could not be kept.
    digest  BLOB NOT NULL,
    -- Why the definition seen last cannot be pinned.
    flaw    TEXT,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (server, tool)
) STRICT, WITHOUT ROWID;
