"""What a daemon has after years of use, written straight into its files while it does not run: rules, pins, audit records."""

import hashlib
import json
import sqlite3
import time

RULES, PINS, RECORDS = 10_000, 1_000, 1_000_000


def policy(tool):
    """Rules of every kind, of which the exact one about `tool` decides; the others are about other tools."""
    exact = {f"tool_{number}": "ask" for number in range(RULES // 2 - 1)}
    globs = {f"group_{number}_*": "deny" for number in range(RULES // 4)}
    conditions = [
        {"tools": f"paid_{number}_*", "arguments": {"/amount": {"max": number}}, "callers": ["exe:/usr/bin/*"], "effect": "allow"}
        for number in range(RULES - 1 - len(exact) - len(globs))
    ]
    return {"default": "ask", "tools": exact | globs | {tool: "allow"}, "rules": conditions}


def pins(state, server, url, tool):
    """One server's complete list of tools, approved as it is."""
    now = int(time.time() * 1000)
    rows = []
    for name in [tool, *(f"tool_{number}" for number in range(PINS - 1))]:
        schema = {"properties": {"text": {"type": "string"}}, "type": "object"}
        definition = {"description": f"What {name} does", "inputSchema": schema, "name": name}
        text = json.dumps(definition, separators=(",", ":"), sort_keys=True)
        rows.append((server, name, text, text, hashlib.sha256(text.encode()).digest(), now))
    with sqlite3.connect(state) as database:
        database.execute(
            "INSERT OR REPLACE INTO catalog_servers (server, url, opened_at, complete) VALUES (?, ?, ?, 1)", (server, url, now))
        database.executemany(
            "INSERT OR REPLACE INTO catalog_tools (server, tool, pinned, seen, digest, seen_at) VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.close()


def kept_pins(state):
    with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as database:
        (count,) = database.execute("SELECT count(*) FROM catalog_tools WHERE pinned IS NOT NULL").fetchone()
    database.close()
    return count


def records(state, server):
    """Appends to the chain as the daemon does, so that `audit verify` finds nothing wrong with it."""
    with sqlite3.connect(state) as database:
        first, previous = database.execute("SELECT head_seq, head_hash FROM audit_chain").fetchone()
        at = int(time.time() * 1_000_000)
        database.executemany("INSERT INTO audit (seq, at, kind, server, tool, actor, hash, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                             chain(first, previous, at, server))
        seq, head = database.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        database.execute("UPDATE audit_chain SET head_seq = ?, head_hash = ?", (seq, head))
    database.close()


def chain(first, previous, at, server):
    names = (server, "echo", "http(uid 1000)")
    detail = json.dumps({"arguments_digest": "0" * 64, "duration_ms": 1, "outcome": "done", "rule": "echo: allow"})
    # Server, tool and actor are there, an approval is not.
    same = parts(bytes([0b0111]), b"call.finished", *(name.encode() for name in names), b"", detail.encode())
    for seq in range(first + 1, first + 1 + RECORDS):
        covered = parts(previous, seq.to_bytes(8, "big"), at.to_bytes(8, "big")) + same
        previous = hashlib.sha256(covered).digest()
        yield (seq, at, "call.finished", *names, previous, detail)


def parts(*fields):
    return b"".join(len(field).to_bytes(8, "big") + field for field in fields)
