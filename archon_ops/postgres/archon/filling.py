"""Archon's part of a dump, put into a schema of ours: definitions, rows, keys, indexes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, deadline

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
    place: Place, entries: list[Entry], names: frozenset[str], progress: Callable[[str, int], None]
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
