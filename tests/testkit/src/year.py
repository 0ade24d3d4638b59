"""Fills the database of a stopped server with a year of rows: year.py FILE ROWS. Prints what was stored, as JSON."""

import hashlib
import json
import os
import sqlite3
import sys
import time
from datetime import datetime, timezone

path, rows = sys.argv[1], int(sys.argv[2])
DAY = 86_400_000_000
NOW = int(time.time() * 1_000_000)
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ACTOR = {"id": "system", "name": "system", "type": "system"}


def at(index, count):
    """Row `index` of a year that ended two days ago."""
    return NOW - 2 * DAY - (count - index) * 363 * DAY // count


def new_id(prefix, micros):
    """A UUIDv7 in Crockford's base32, as the hive makes them."""
    random = int.from_bytes(os.urandom(10), "big")
    value = micros // 1000 << 80 | 7 << 76 | (random >> 68 & 0xFFF) << 64 | 2 << 62 | random & (1 << 62) - 1
    return prefix + "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def rfc3339(micros):
    return datetime.fromtimestamp(micros // 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{micros % 1_000_000:06}Z"


database = sqlite3.connect(path, timeout=10)
database.execute("PRAGMA foreign_keys = ON")


def insert(table, **columns):
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(columns.values()))


def satellite(name, created, deleted=None):
    number = new_id("sat_", created)
    insert("satellites", id=number, name=name, satellite_type="global", status="active", capabilities='["shell"]', tags='["web"]',
           key_generation=1, hostname=name, system_info='{"hostname":"' + name + '"}', created_by="system",
           created_at=created, updated_at=created, deleted_at=deleted)
    insert("satellite_tags", satellite_id=number, tag="web")
    return number


AUTHOR = {"actor": json.dumps(ACTOR), "actor_kind": "system", "authorised_by": "role", "created_by": "system"}


def command(satellite_id, created, finished, job=None):
    number = new_id("cmd_", created)
    insert("satellite_commands", id=number, satellite_id=satellite_id, job_id=job, command_type="exec",
           payload='{"command":"uptime"}', summary="uptime", idempotent=0, timeout_seconds=60,
           status="succeeded" if finished else "queued", exit_code=0 if finished else None, truncated=0, created_at=created,
           expires_at=NOW + 400 * DAY, finished_at=finished, updated_at=created, **AUTHOR)
    if finished:
        insert("command_output", command_id=number, channel="stdout", first_byte=0, length=200, bytes=b"x" * 200)
    return number


# Half of the commands are those of jobs with fifty targets.
live = satellite("year-web-01", at(0, rows))
for index in range(rows // 2):
    command(live, at(index, rows // 2), at(index, rows // 2) + 1_000_000)
for index in range(rows // 100):
    created = at(index, rows // 100)
    job = new_id("job_", created)
    insert("jobs", id=job, payload="{}", summary="uptime", asked='["all"]', teams='[""]', status="succeeded", concurrency=64,
           timeout_seconds=60, expires_in_seconds=60, created_at=created, deadline_at=created + DAY,
           finished_at=created + 5_000_000, counts='{"succeeded":50}', **AUTHOR)
    insert("job_teams", job_id=job, team_id="")
    for place in range(50):
        insert("job_targets", job_id=job, place=place, satellite_id=live, satellite_name="year-web-01",
               command_id=command(live, created, created + 1_000_000, job))
for index in range(rows):
    insert("sessions", id=new_id("sess_", at(index, rows)), satellite_id=live, status="ended", screen_cols=80, screen_rows=24,
           created_at=at(index, rows), ended_at=at(index, rows) + 1_000_000, end_reason="exited", exit_code=0, **AUTHOR)
for index in range(rows // 100):
    satellite(f"year-removed-{index}", at(index, rows // 100), at(index, rows // 100) + 1_000_000)
# Open ones of a year ago, which must stay.
open_command = command(live, NOW - 360 * DAY, None)
open_session = new_id("sess_", NOW - 360 * DAY)
insert("sessions", id=open_session, satellite_id=live, status="open", screen_cols=80, screen_rows=24, created_at=NOW - 360 * DAY, **AUTHOR)

# The records that are there come after those of the year, and get new numbers and hashes.
present = database.execute("SELECT record FROM audit_log ORDER BY seq").fetchall()
database.execute("DELETE FROM audit_log")
head, seq = "0" * 64, 0


def append(record):
    global head, seq
    seq += 1
    record["seq"] = seq
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256((head + text).encode()).hexdigest()
    when = datetime.strptime(record["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    micros = int(when.timestamp()) * 1_000_000 + when.microsecond
    target = record["target"]
    of_satellite = target["id"] if target["type"] == "satellite" else record["details"].get("satellite_id")
    insert("audit_log", seq=seq, id=record["id"], timestamp=micros, actor_id=record["actor"]["id"],
           actor_name=record["actor"]["name"], action=record["action"], target_type=target["type"], target_id=target["id"],
           satellite_id=of_satellite, team_id=record.get("team_id"), record=text, previous_hash=head, hash=digest)
    head = digest


for index in range(rows):
    append({"id": new_id("aud_", at(index, rows)), "timestamp": rfc3339(at(index, rows)), "actor": ACTOR, "action": "satellite.exec",
            "target": {"type": "satellite", "id": live}, "details": {"command": "uptime"}, "result": "success"})
for (text,) in present:
    append(json.loads(text))
database.commit()
counts = {table: database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
          for table in ("audit_log", "satellite_commands", "command_output", "jobs", "job_targets", "sessions", "satellites")}
database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
database.close()
print(json.dumps({"rows": counts, "open_command": open_command, "open_session": open_session, "satellite": live}))
