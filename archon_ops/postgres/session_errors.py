"""What a failed connection, query or lock means to an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from archon_ops.errors import LockedError, OpsError, PreconditionError

# What stopped a query, by the class of its SQLSTATE, and what to do.
_STOPPED = {
    "40": ("another transaction was in the way", "let it end"),
    "53": ("the server lacks what a query needs", "look at its memory, disk and connections"),
    "54": ("a query is beyond the server's limits", "look at the server's settings"),
    "55": ("something on the server is in use", "let the session that holds it end"),
    "57014": ("a query was cancelled", "look in the server's log for who, or what limit, did it"),
    "58": ("the server's files or disk failed it", "look at the server's log and its disk"),
}


def connection_error(error: psycopg.OperationalError, conninfo: Mapping[str, Any]) -> OpsError:
    """What a failed connection means to an operator; libpq never prints the password."""
    text = " ".join(str(error).split())
    where = address(conninfo)
    if "unsupported startup parameter" in text:
        return PreconditionError(
            f"{where} is a connection pooler, not a PostgreSQL server: {text}",
            "use the server's own port (5432) in the DSN",
        )
    if "Peer authentication failed" in text or "Ident authentication failed" in text:
        return PreconditionError(
            f"{where} refuses role {conninfo.get('user')!r}: {text}",
            "run the command as the system user that belongs to the role, or use a password: "
            "a host name in the DSN instead of a socket",
        )
    if "password" in text or "authentication failed" in text:
        return PreconditionError(
            f"{where} refuses role {conninfo.get('user')!r}: {text}",
            "set the source's password (ARCHON_SOURCES__NAME__PASSWORD, or ~/.pgpass)",
        )
    if f'database "{conninfo.get("dbname")}" does not exist' in text:
        return PreconditionError(
            f"database {conninfo.get('dbname')!r} does not exist on {where}",
            "look with: inv undo --list; then: inv restore latest --scope database",
        )
    return PreconditionError(
        f"no connection to PostgreSQL at {where}: {text}",
        "start it, or correct the address in archon.toml; then try: inv psql --command 'SELECT 1'",
    )


def address(conninfo: Mapping[str, Any]) -> str:
    """Where a connection leads, as errors name it."""
    return f"{conninfo.get('host', 'localhost')}:{conninfo.get('port', 5432)}"


def query_error(error: psycopg.Error) -> OpsError:
    """What a failed query means to an operator."""
    text = " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return PreconditionError(
            f"PostgreSQL refuses: {text}", "use another role, or have it granted"
        )
    if isinstance(error, psycopg.errors.DiskFull):
        return PreconditionError(
            f"the server's disk is full: {text}",
            "free space in the server's data directory, then run it again",
        )
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return LockedError(
            f"a lock did not come in time: {text}",
            "let the session that holds it end, then run it again",
        )
    if isinstance(error, psycopg.OperationalError):
        return _operational(error.sqlstate or "", text)
    return OpsError(f"PostgreSQL refuses: {text}", "look at the server's log")


def _operational(state: str, text: str) -> OpsError:
    """What stopped a query that nothing is wrong with, by the class of its SQLSTATE."""
    if not state or state.startswith(("08", "57P")):
        return OpsError(
            f"the connection to PostgreSQL was lost: {text}",
            "look at the server's log; then run the command again",
        )
    for begin, (what, hint) in _STOPPED.items():
        if state.startswith(begin):
            return OpsError(f"{what}: {text}", f"{hint}; then run the command again")
    return OpsError(f"PostgreSQL stopped a query: {text}", "look at the server's log")


def lock_error(holders: str, seconds: float) -> LockedError:
    """A table lock that did not come.

    Args:
        holders: which tables are held by whom; empty where nobody holds one any more.
        seconds: how long it was waited for.
    """
    return LockedError(
        f"waited {seconds:.0f} s in vain for a table lock: "
        f"{holders or 'whoever held it has just ended'}",
        "let that session end, or end it: inv psql --command 'SELECT pg_terminate_backend(PID)'; "
        "then run the command again",
    )
