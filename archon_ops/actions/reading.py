"""Read from a live database what a manifest says of it, and what a proof needs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TypeVar

import psycopg
from pydantic import SecretStr

from archon_ops.actions.credentials import tried
from archon_ops.model.backup import Manifest
from archon_ops.model.fingerprint import TableFingerprint
from archon_ops.model.proof import Found
from archon_ops.model.retrieval import FoundRetrieval, Retrieval
from archon_ops.postgres import databases
from archon_ops.postgres.answers import AT_HOME, Place, answers, called
from archon_ops.postgres.facts import database_attributes, version_num
from archon_ops.postgres.fingerprint import fingerprint, sequences
from archon_ops.postgres.inventory import read_extensions, read_inventory
from archon_ops.postgres.restore import session_settings
from archon_ops.postgres.retrieval import sample
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, cut
from archon_ops.settings import DeadlineSettings, archon_secret
from archon_ops.site import Site

_CANCEL_SECONDS = 5.0
_ALL = Scope()
T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """What a database holds in one snapshot: all rows reduced, and some searches answered."""

    tables: tuple[TableFingerprint, ...]
    retrieval: Retrieval


@dataclass(frozen=True)
class Questions:
    """What a restored database is asked besides its rows and objects.

    Attributes:
        recorded: answers of the backup; None where it has none, then questions are chosen anew.
        secret: variable and value of Archon's encryption key; None where it is not at hand.
    """

    recorded: Retrieval | None
    secret: tuple[str, SecretStr] | None


def questions_for(site: Site, manifest: Manifest) -> Questions:
    """What a database restored from this backup is asked."""
    return Questions(manifest.retrieval, archon_secret(site.settings.home(site.name)))


def found(
    server: Server,
    database: str,
    deadlines: DeadlineSettings,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    *,
    attributes_of: str | None = None,
    questions: Questions | None = None,
    scope: Scope = _ALL,
) -> Found:
    """Everything that a proof compares.

    Args:
        server: where.
        database: the restored database.
        deadlines: how long to wait.
        progress: told each table's name, its number and how many there are.
        attributes_of: database whose own attributes are read; None leaves them out.
        questions: what it is asked besides; only of a database that nobody uses yet: its functions
            are called, and an index may be built anew. None leaves that out.
        scope: what the backup covers, where the database holds more.
    """
    with (
        server.connect(database) as connection,
        _asking(server, database, questions, deadlines) as answered,
    ):
        if answered:  # an index that is built anew meanwhile may hold readers of its table up
            connection.execute("SELECT pg_catalog.set_config('lock_timeout', '0', false)")
        tables = fingerprint(connection, scope, timeout=deadlines.proof, progress=progress)
        positions = sequences(connection, scope, timeout=deadlines.proof)
        inventory = read_inventory(connection, scope, timeout=deadlines.stall)
        extensions = {e.name: e.version for e in read_extensions(connection)}
        major = version_num(connection) // 10000
        locale = databases.locale_of(connection, database)
        retrieval = answered.result() if answered else None
    attributes = None
    if attributes_of is not None:
        with server.connect(databases.MAINTENANCE) as connection:
            attributes = database_attributes(connection, attributes_of)
    ctype = locale.ctype if locale else ""
    return Found(major, tables, positions, inventory, extensions, attributes, ctype, retrieval)


@contextlib.contextmanager
def _asking(
    server: Server, database: str, questions: Questions | None, deadlines: DeadlineSettings
) -> Iterator[Future[FoundRetrieval] | None]:
    """Ask in a session and a thread of its own, beside what the block reads."""
    if questions is None:
        yield None
        return

    def ask() -> FoundRetrieval:
        there = neighbours(server, connection, questions, deadlines)
        return at_work(connection, there, questions, deadlines)

    with server.connect(database) as connection, _beside(connection, ask) as future:
        yield future


def neighbours(
    server: Server,
    connection: Connection,
    questions: Questions,
    deadlines: DeadlineSettings,
    place: Place = AT_HOME,
) -> FoundRetrieval:
    """What restored tables answer, wherever they are; nobody may use them yet."""
    return answers(
        connection,
        questions.recorded,
        timeout=deadlines.proof,
        build_settings=session_settings(server.programs.small_shared_memory),
        place=place,
    )


def at_work(
    connection: Connection,
    there: FoundRetrieval,
    questions: Questions,
    deadlines: DeadlineSettings,
) -> FoundRetrieval:
    """The same, with what only works where it belongs: search functions and credentials."""
    functions = called(connection, questions.recorded, timeout=deadlines.proof)
    return replace(there, functions=functions, credentials=tried(connection, questions.secret))


@contextlib.contextmanager
def reading_content(
    connection: Connection, scope: Scope, *, timeout: float
) -> Iterator[Future[Content]]:
    """Read all content in a thread of its own while the block does something else."""

    def read() -> Content:
        tables = fingerprint(connection, scope, timeout=timeout)
        return Content(tables, sample(connection, scope, timeout=timeout))

    with _beside(connection, read) as future:
        yield future


@contextlib.contextmanager
def _beside(connection: Connection, work: Callable[[], T]) -> Iterator[Future[T]]:
    """Do some work with a session in a thread of its own while the block does something else.

    When the block fails, the thread is ended, so that nobody waits for it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as pool:
        future = pool.submit(work)
        try:
            yield future
        except BaseException:
            _abandon(connection, future)
            raise


def _abandon(connection: Connection, future: Future[T]) -> None:
    """Cancel whatever the thread asks next; cut it off where the server does not answer."""
    end = time.monotonic() + _CANCEL_SECONDS
    while not future.done() and time.monotonic() < end:
        with contextlib.suppress(psycopg.Error):  # what ended the block is what matters
            connection.cancel_safe(timeout=1)
        wait([future], timeout=0.2)
    if not future.done():
        cut(connection)
