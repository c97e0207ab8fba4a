-- Tokens of clients. A token itself is nowhere: `token` is its SHA-256.
CREATE TABLE clients (
    name TEXT NOT NULL PRIMARY KEY,
    token BLOB NOT NULL UNIQUE,
    -- JSON arrays of server names and of tool patterns; an empty one is no limit.
    servers TEXT NOT NULL,
    tools TEXT NOT NULL,
    -- Seconds since 1970.
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    -- Behind by up to an hour.
    used_at INTEGER
) STRICT, WITHOUT ROWID;
