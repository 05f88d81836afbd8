"""The server as a backup needs it: reachable, ready, its clock and collations right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from archon_ops.errors import OpsError
from archon_ops.model.diagnosis import Check, Finding
from archon_ops.model.units import human_duration
from archon_ops.postgres.locks import LockRoom
from archon_ops.postgres.session import Connection, scalar
from archon_ops.postgres.session_errors import query_error

CLOCK_SECONDS = 5.0
LONG_SECONDS = 300
_SILENT_LEVELS = ("log", "fatal", "panic")
_COLLATIONS_SINCE = 15


@dataclass(frozen=True)
class Versions:
    """Collations that were written with another version than the server sorts with now.

    Attributes:
        database: of the database itself, (recorded, actual); None where neither is known.
        changed: names of other collations in use whose version changed.
    """

    database: tuple[str | None, str | None] | None
    changed: tuple[str, ...]


def asked(check: Check, answer: Callable[[], Finding]) -> Finding:
    """The answer of one check; a question that the server refuses ends in `unknown`."""
    try:
        return answer()
    except psycopg.Error as error:
        refusal: OpsError = query_error(error)
    except OpsError as error:
        refusal = error
    return check.unknown("the server does not tell", refusal.message, refusal.hint)


CLOCK = Check("server.clock", "ages of backups are wrong", "SELECT clock_timestamp()")
COLLATION = Check(
    "server.collation",
    "rows that exist are not found, unique keys hold doubles",
    "pg_database.datcollversion, pg_collation.collversion",
)
LOCKS = Check("server.locks", "pg_dump: out of shared memory", "pg_settings, pg_locks, pg_class")
LOG = Check("server.log", "nothing in the server's log says why", "SHOW log_min_messages")
STORAGE = Check(
    "storage.objects", "uploaded files are missing after a restore", "count of storage.objects"
)
SESSIONS = Check(
    "server.sessions",
    "a backup waits, tables grow",
    f"pg_stat_activity: transactions older than {human_duration(LONG_SECONDS)}",
)


def clock(connection: Connection, now: Callable[[], datetime]) -> Finding:
    """Whether the server and this machine agree on the time."""
    before = now()
    theirs = scalar(connection, "SELECT clock_timestamp()")
    after = now()
    middle = before + (after - before) / 2
    return judge_clock((theirs - middle).total_seconds(), (after - before).total_seconds())


def judge_clock(ahead: float, took: float) -> Finding:
    """Judge by how many seconds the server is ahead, asked in `took` seconds."""
    if abs(ahead) <= CLOCK_SECONDS + took:
        return CLOCK.ok(f"server and this machine agree to {abs(ahead):.1f} s")
    way = "ahead of" if ahead > 0 else "behind"
    return CLOCK.warning(
        f"the server's clock is {human_duration(abs(ahead))} {way} this machine's",
        "one of the two is not synchronised; the engine's machine may have slept",
        "timedatectl set-ntp true (on the one that is wrong)",
    )


def collation(connection: Connection, database: str, inv: str) -> Finding:
    """Whether text sorts as it did when the indexes were built."""
    major = connection.info.server_version // 10000
    recorded = None
    if major >= _COLLATIONS_SINCE:
        recorded = connection.execute(
            """SELECT datcollversion, pg_database_collation_actual_version(oid)
               FROM pg_catalog.pg_database WHERE datname = %s""",
            [database],
        ).fetchone()
    rows = connection.execute(
        """SELECT c.collname FROM pg_catalog.pg_collation c
           WHERE c.collversion IS NOT NULL AND EXISTS (
               SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attcollation = c.oid AND a.attnum > 0 AND a.attrelid >= 16384)
             AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid)
           ORDER BY 1"""
    ).fetchall()
    names = tuple(str(name) for (name,) in rows)
    pair = (recorded[0], recorded[1]) if recorded else None
    return judge_collation(Versions(pair, names), database, inv)


def judge_collation(versions: Versions, database: str, inv: str) -> Finding:
    """Judge recorded against actual versions."""
    cause = "the operating system of the server, or its image, brought another libc or ICU"
    name = '"' + database.replace('"', '""') + '"'
    reindex = f"inv psql{inv} --command 'REINDEX DATABASE {name}'; then "
    was, now = versions.database or (None, None)
    if was is not None and was != now:
        return COLLATION.warning(
            f"database {database} was sorted by version {was}, the server has {now}",
            cause,
            f"{reindex}inv psql{inv} --command 'ALTER DATABASE {name} REFRESH COLLATION VERSION'",
        )
    if versions.changed:
        first = versions.changed[0].replace('"', '""')
        return COLLATION.warning(
            f"collations of another version: {', '.join(versions.changed[:5])}",
            cause,
            f'{reindex}for each: ALTER COLLATION "{first}" REFRESH VERSION',
        )
    if versions.database is None:
        return COLLATION.note("the database's version is not recorded", "PostgreSQL before 15")
    return COLLATION.ok(f"version {now} now as then" if now else "it has no version")


def judge_locks(room: LockRoom, inv: str) -> Finding:
    """Judge the room for the table locks of a dump."""
    found = f"a dump takes about {room.needed} locks, {room.available} fit"
    if room.available >= 2 * room.needed:
        return LOCKS.ok(found)
    cause = "the database has many tables; every one is locked while it is dumped"
    mend = (
        f"inv psql{inv} --command "
        f"'ALTER SYSTEM SET max_locks_per_transaction = {room.wanted}'; then restart PostgreSQL"
    )
    if room.enough:
        return LOCKS.warning(found, cause, mend)
    return LOCKS.problem(found, cause, mend, blocks=True)


def log(connection: Connection, inv: str) -> Finding:
    """Whether the server writes down errors at all."""
    level = str(scalar(connection, "SELECT current_setting('log_min_messages')"))
    if level not in _SILENT_LEVELS:
        return LOG.ok(f"log_min_messages = {level}")
    return LOG.note(
        f"log_min_messages = {level}: errors are not logged",
        "somebody wanted a quieter log",
        f"inv psql{inv} --command \"ALTER SYSTEM SET log_min_messages = 'warning'\" "
        "--command 'SELECT pg_reload_conf()'",
    )


def storage(connection: Connection) -> Finding:
    """The claim that Supabase's storage is unused."""
    if scalar(connection, "SELECT to_regclass('storage.objects') IS NULL"):
        return STORAGE.ok("there is no storage.objects")
    count = int(scalar(connection, "SELECT count(*) FROM storage.objects"))
    if count == 0:
        return STORAGE.ok("storage.objects is empty")
    return STORAGE.warning(
        f"storage.objects has {count} rows",
        "somebody uploads files; a backup holds their names, the files lie in a volume",
        "docker inspect --format '{{json .Mounts}}' on Supabase's storage container shows where; "
        "back that folder up too",
    )


def sessions(connection: Connection, inv: str) -> Finding:
    """Whether long operations run that are better let end first."""
    rows = connection.execute(
        """SELECT pid, coalesce(usename, '?'), coalesce(state, '?'),
                  extract(epoch FROM clock_timestamp() - xact_start)::float8
           FROM pg_catalog.pg_stat_activity
           WHERE datname = current_database() AND backend_type = 'client backend'
             AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - %s * interval '1 s'
           ORDER BY xact_start""",
        [LONG_SECONDS],
    ).fetchall()
    if not rows:
        return SESSIONS.ok("no transaction runs for long")
    told = "; ".join(f"pid {p} ({u}, {s}, {human_duration(a)})" for p, u, s, a in rows[:3])
    return SESSIONS.note(
        f"{len(rows)} long transactions: {told}",
        "an import, a crawl, or a client that forgot to commit",
        f"let them end, or: inv psql{inv} --command 'SELECT pg_terminate_backend({rows[0][0]})'",
    )
