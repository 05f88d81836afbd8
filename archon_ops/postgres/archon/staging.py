"""Archon's part of a dump, built beside what is live, in a schema of the live database."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.postgres.archon.definitions import renamed
from archon_ops.postgres.archon.entries import Entry, Selection, listing
from archon_ops.postgres.archon.load import load
from archon_ops.postgres.archon.objects import everything
from archon_ops.postgres.messages import complaints, failure
from archon_ops.postgres.programs import LIST_SUFFIX
from archon_ops.postgres.restore import FileOf, session_settings
from archon_ops.postgres.scope import STAGING_PREFIX
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import APPLICATION, Connection, deadline

_DROP_SECONDS = 300.0
_READY = "archon_ops ready: "
# Somebody else's schema may begin with our prefix; only a run's id makes it ours.
_NAME = f"^{STAGING_PREFIX}[0-9]{{8}}t[0-9]{{6}}z-[0-9a-f]{{4}}$"
# Until the rows are in, nothing but tables, and what those are made of, exists.
_BEFORE_ROWS = (
    *("TYPE", "DOMAIN", "FUNCTION", "PROCEDURE", "AGGREGATE", "TABLE", "VIEW", "SEQUENCE"),
    *("SEQUENCE OWNED BY", "MATERIALIZED VIEW", "FOREIGN TABLE", "DEFAULT", "TABLE ATTACH"),
)
# They lock their table against everybody, and are quick; then indexes are built side by side.
_KEYS = ("CONSTRAINT", "CHECK CONSTRAINT")
_BUILDERS = 2


@dataclass(frozen=True)
class Place:
    """Where something is built.

    Attributes:
        server: the server.
        database: the live database.
        schema: the schema, which is ours alone.
        timeout: seconds for each step.
    """

    server: Server
    database: str
    schema: str
    timeout: float

    @contextlib.contextmanager
    def session(self) -> Iterator[Connection]:
        """A session with enough memory for every index, and as long as it takes."""
        options = {
            **session_settings(self.server.programs.small_shared_memory),
            "check_function_bodies": "off",
            "client_min_messages": "warning",
        }
        with (
            self.server.connect(self.database) as connection,
            deadline(connection, self.timeout, "building Archon's objects"),
        ):
            for name, value in options.items():
                connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
            yield connection


def staging_name(run_id: str) -> str:
    """Name of the schema in which a run builds."""
    return STAGING_PREFIX + run_id.lower()


def make(connection: Connection, schema: str, owners: frozenset[str]) -> None:
    """Make an empty schema for what is built.

    Args:
        connection: session on the live database.
        schema: name of the new schema.
        owners: roles that will own something in it.
    """
    name = sql.Identifier(schema)
    with connection.transaction():
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        for owner in sorted(owners - {connection.info.user}):
            grant = sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}")
            connection.execute(grant.format(name, sql.Identifier(owner)))


def fill(
    place: Place,
    dump: Path,
    selection: Selection,
    staying: frozenset[str],
    *,
    file_of: FileOf,
    step: Callable[[str], None],
    progress: Callable[[str, int], None],
) -> None:
    """Build everything in the schema: definitions, rows, then keys, indexes, triggers, policies.

    No trigger and no foreign key exists while rows are loaded, so none can fire or fail.

    Args:
        place: where.
        dump: the dump.
        selection: Archon's entries in it.
        staying: labels of routines that neighbours use too, and that stay where they are.
        file_of: makes files.
        step: told the section that begins.
        progress: told what is at work, and its bytes.

    Raises:
        UntrustworthyError: the server takes something in the dump for wrong.
    """
    entries = tuple(e for e in selection.archon if e.label not in staying)
    gone = {e.id for e in selection.archon if e.label in staying}
    entries = tuple(e for e in entries if not (e.is_a("ACL", "COMMENT") and e.needs & gone))
    names = frozenset(e.name for e in entries if e.name)
    made = [e for e in entries if _is_before_rows(e, entries)]
    rest = [e for e in entries if e not in made]
    step("pre-data")
    _run(place, made, names)
    step("data")
    _load(place, dump, selection, file_of, progress)
    step("post-data")
    _run(place, [e for e in rest if e.is_a(*_KEYS)], names)
    _build_indexes(place, [e for e in rest if e.is_a("INDEX")], names, progress)
    _run(place, [e for e in rest if not e.is_a(*_KEYS, "INDEX")], names)
    _analyze(place)


def _is_before_rows(entry: Entry, entries: tuple[Entry, ...]) -> bool:
    if entry.is_a("ACL"):
        return True
    kinds = {e.id for e in entries if e.is_publics(*_BEFORE_ROWS)}
    return entry.id in kinds or (entry.is_a("COMMENT") and entry.needs <= kinds)


def _run(place: Place, entries: list[Entry], names: frozenset[str]) -> None:
    with place.session() as connection:
        for entry in entries:
            _execute(connection, entry, names, place.schema)


def _execute(connection: Connection, entry: Entry, names: frozenset[str], schema: str) -> None:
    text = renamed(entry.sql, names, schema)
    if not text:
        return
    try:
        connection.execute(text.encode())
    except (psycopg.errors.InsufficientPrivilege, psycopg.OperationalError):
        raise
    except psycopg.errors.ForeignKeyViolation as error:
        raise PreconditionError(
            f"{entry.text}: rows of the backup refer to what a neighbour has no more: "
            f"{error.diag.message_detail}",
            "bring it back first: inv restore … --table T --into SCHEMA makes the neighbour's "
            "table beside; or restore everything with --scope database",
        ) from error
    except psycopg.Error as error:
        raise UntrustworthyError(
            f"{entry.text}: the server refuses what the dump says: {error.diag.message_primary}",
            "inv backups lists the others; inv verify all",
        ) from error


def _build_indexes(
    place: Place,
    entries: list[Entry],
    names: frozenset[str],
    progress: Callable[[str, int], None],
) -> None:
    """Two at a time; the first that fails ends the rest."""
    left = iter(entries)

    def work() -> None:
        with place.session() as connection:
            for entry in left:
                progress(entry.name, 0)
                _execute(connection, entry, names, place.schema)

    with ThreadPoolExecutor(_BUILDERS, thread_name_prefix="index") as pool:
        builders = [pool.submit(work) for _ in range(min(_BUILDERS, len(entries)))]
        for builder in builders:
            builder.result()


def _load(
    place: Place,
    dump: Path,
    selection: Selection,
    file_of: FileOf,
    progress: Callable[[str, int], None],
) -> None:
    server, text = place.server, listing(selection.data).encode()
    with (
        server.staged(dump) as path,
        file_of(text, LIST_SUFFIX) as file,
        server.staged(file) as wanted,
        server.spawn(
            "pg_restore", f"--use-list={wanted}", "--file=-", path, database=None, pipe=True
        ) as child,
        place.session() as connection,
    ):
        load(connection, place.schema, child.blocks(place.timeout), progress)
        done = child.wait(place.timeout)
        if done.returncode != 0 or complaints(done.stderr):
            error = failure(done, "reading Archon's rows from the dump")
            raise UntrustworthyError(error.message, f"inv verify {dump.name}")


def _analyze(place: Place) -> None:
    with place.session() as connection:
        for relation in everything(connection, place.schema).relations:
            if relation.kind in ("TABLE", "MATERIALIZED VIEW"):
                name = f"{sql.Identifier(place.schema).as_string(None)}.{relation.name}"
                connection.execute(f"ANALYZE {name}".encode())


@dataclass(frozen=True)
class Ready:
    """A schema that was built and proven, and waits for its switch.

    Attributes:
        schema: its name.
        sha256: of the dump that it was built from.
        labels: of everything in it.
        staying: labels of routines that stay in schema public, with their definitions.
        built_at: UTC time, RFC 3339.
    """

    schema: str
    sha256: str
    labels: frozenset[str]
    staying: Mapping[str, str]
    built_at: datetime


def mark_ready(connection: Connection, ready: Ready) -> None:
    """Remember that a schema waits for its switch: no sweep takes it then."""
    values = {
        "sha256": ready.sha256,
        "labels": sorted(ready.labels),
        "staying": dict(ready.staying),
        "built_at": ready.built_at.isoformat(),
    }
    say = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    text = sql.Literal(_READY + json.dumps(values))
    connection.execute(say.format(sql.Identifier(ready.schema), text))


def waiting(connection: Connection) -> tuple[Ready, ...]:
    """Schemas that wait for their switch."""
    rows = connection.execute(
        """SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace
           WHERE nspname ~ %s AND starts_with(obj_description(oid, 'pg_namespace'), %s)
           ORDER BY 1""",
        [_NAME, _READY],
    ).fetchall()
    return tuple(_parsed(name, comment) for name, comment in rows)


def _parsed(name: str, comment: str) -> Ready:
    values = json.loads(comment.removeprefix(_READY))
    built_at = datetime.fromisoformat(values["built_at"])
    labels = frozenset(values["labels"])
    return Ready(name, values["sha256"], labels, dict(values["staying"]), built_at)


def drop(connection: Connection, schema: str) -> None:
    """Drop a schema of ours with all that is in it; nothing where there is none."""
    with deadline(connection, _DROP_SECONDS, f"dropping schema {schema}"):
        try:
            connection.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
            )
        except psycopg.errors.InsufficientPrivilege as error:
            raise PreconditionError(
                f"schema {schema} cannot be dropped by role {connection.info.user}: "
                f"{error.diag.message_primary}",
                f'have an administrator run: DROP SCHEMA "{schema}" CASCADE',
            ) from error


def abandoned(connection: Connection) -> tuple[str, ...]:
    """Staging schemas whose run is dead: no session bears its name any more.

    One that waits for its switch (`ready`) is not among them.
    """
    rows = connection.execute(
        """SELECT n.nspname FROM pg_catalog.pg_namespace n
           WHERE n.nspname ~ %s AND obj_description(n.oid, 'pg_namespace') IS NULL
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
               WHERE lower(a.application_name) = lower(%s || substr(n.nspname, length(%s) + 1))
                 AND a.pid <> pg_backend_pid())
           ORDER BY 1""",
        [_NAME, f"{APPLICATION}:", STAGING_PREFIX],
    ).fetchall()
    return tuple(name for (name,) in rows)
