-- `item` and `record` hold the whole as JSON; the other columns are copies to find it by.
CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    server TEXT NOT NULL,
    -- Milliseconds since the Unix epoch, like all times here.
    asked_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    earlier TEXT,
    item TEXT NOT NULL
) STRICT;
CREATE INDEX approvals_by_time ON approvals (asked_at, id);
CREATE INDEX approvals_by_state ON approvals (state, asked_at, id);
CREATE INDEX approvals_by_earlier ON approvals (earlier) WHERE earlier IS NOT NULL;

CREATE TABLE grants (
    id TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;

-- One row, or none when no PIN is set.
CREATE TABLE approval_pin (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    hash BLOB NOT NULL,
    set_at INTEGER NOT NULL,
    wrong_tries INTEGER NOT NULL DEFAULT 0,
    locked_until INTEGER NOT NULL DEFAULT 0
) STRICT;
