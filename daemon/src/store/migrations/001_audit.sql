-- One row for each thing that happened, never changed. `seq` has no gaps; `hash` covers the row and the
-- hash of the one before it. `hash` stands before `detail`, which may be long.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL, -- microseconds since the Unix epoch
    kind TEXT NOT NULL,
    server TEXT,
    tool TEXT,
    actor TEXT,
    approval TEXT,
    hash BLOB NOT NULL,
    detail TEXT NOT NULL -- a JSON object
) STRICT;

-- Both ends of the chain, in one row: the record before the oldest that is kept, and the newest.
-- Without it, removed ends would not be missed.
CREATE TABLE audit_chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    anchor_seq INTEGER NOT NULL,
    anchor_hash BLOB NOT NULL,
    head_seq INTEGER NOT NULL,
    head_hash BLOB NOT NULL
) STRICT;
INSERT INTO audit_chain VALUES (1, 0, zeroblob(32), 0, zeroblob(32));
