"""Which database is in service, and what is kept beside it: told after every end, good or bad."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from archon_ops.errors import InterruptedByUser, OpsError
from archon_ops.postgres import databases
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import scalar

if TYPE_CHECKING:  # which takes exchanges back, and so needs this module
    pass


@contextlib.contextmanager
def saying_what_serves(server: Server, database: str, before: int | None) -> Iterator[None]:
    """Add to whatever ends the block early which database is in service now.

    Args:
        server: where.
        database: the production name.
        before: OID of the database that bore it at the begin; None where there was none.
    """
    try:
        yield
    except (OpsError, InterruptedByUser) as error:
        error.message = f"{error.message}; {_what_serves(server, database, before)}"
        raise


def _what_serves(server: Server, database: str, before: int | None) -> str:
    try:
        with server.connect(databases.MAINTENANCE) as connection:
            now = databases.oid_of(connection, database)
    except OpsError:
        return f"{database} is whole, the one before or the new one; which, the server must tell"
    if now == before:
        return f"{database} is as it was" if before else f"there is no {database}, as before"
    kept = "; inv undo brings the one before back" if before else ""
    return f"{database} is the new database already{kept}"


@contextlib.contextmanager
def saying_which_archon_serves(server: Server, database: str, kept: str) -> Iterator[None]:
    """Add to whatever ends the block early which objects of Archon's are in service now.

    Args:
        server: where.
        database: the live one.
        kept: name of the schema that holds the ones before, once they left.
    """
    try:
        yield
    except (OpsError, InterruptedByUser) as error:
        error.message = f"{error.message}; {_which_archon(server, database, kept)}"
        raise


@contextlib.contextmanager
def saying_it_serves(*, kept: bool) -> Iterator[None]:
    """Add to whatever ends the block early that Archon's new objects are in service.

    Args:
        kept: whether those before are.
    """
    try:
        yield
    except (OpsError, InterruptedByUser) as error:
        back = "; inv undo brings those before back" if kept else ""
        error.message = f"{error.message}; Archon's objects are the new ones already{back}"
        raise


def _which_archon(server: Server, database: str, kept: str) -> str:
    try:
        with server.connect(database) as connection:
            query = "SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL"
            switched = scalar(connection, query, kept)
    except OpsError:
        return "Archon is whole, the one before or the new one; which, the server must tell"
    if switched:
        return "Archon's objects are the new ones already; inv undo brings those before back"
    return "Archon's objects are as they were"
