"""Sessions on a server: how we connect, with what settings, and how long we wait.

PostgreSQL's answers depend on a session's settings; these are pinned, so that the same data always
reads the same, and so that row level security is an error instead of a silent filter. No session
waits without end: not for an answer, not for a lock.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.postgres.session_errors import address, connection_error, query_error

Connection = psycopg.Connection[tuple[Any, ...]]

APPLICATION = "archon_ops"
ANSWER_SECONDS = 120.0
LOCK_SECONDS = 10.0

# An empty search_path makes every name that the server prints a qualified one.
_PINNED = {
    "search_path": "",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmloption": "content",
    "row_security": "off",
    "synchronize_seqscans": "off",
    # The session that exports the snapshot is idle while pg_dump works: nothing may end it.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# Since which version there is a parameter.
_PINNED_SINCE = {"transaction_timeout": 17_00_00, "idle_session_timeout": 14_00_00}


def application_name(run_id: str) -> str:
    """The name that every session of a run bears."""
    return f"{APPLICATION}:{run_id}"


def tool_name(run_id: str) -> str:
    """The name that the sessions of a run's programs bear, so that they alone can be ended."""
    return f"{application_name(run_id)}/tool"


class _Patient(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits for no answer without end, even where nobody set a deadline.

    It inherits, because psycopg does all of its waiting in this one method.

    Attributes:
        patience: seconds that one answer may take outside of `deadline`.
        bounded: whether a `deadline` holds.
    """

    patience: float = ANSWER_SECONDS
    bounded: bool = False

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for the server."""
        if self.bounded:
            return super().wait(*args, **kwargs)
        with deadline(self, self.patience, "a query"):
            return super().wait(*args, **kwargs)


@contextlib.contextmanager
def session(
    conninfo: Mapping[str, Any],
    *,
    timeout: float,
    answer_seconds: float = ANSWER_SECONDS,
    lock_seconds: float = LOCK_SECONDS,
) -> Iterator[Connection]:
    """An autocommit session with pinned settings.

    Args:
        conninfo: libpq keywords, among them dbname and application_name.
        timeout: seconds until the connection must stand.
        answer_seconds: how long an answer may take; `deadline` sets another limit for a block.
        lock_seconds: how long the server waits for a lock.

    Raises:
        PreconditionError: the server, the database or the role is not to be had; or, from the
            block, a right is missing.
        OpsError: from the block, what PostgreSQL refused, or that the connection was lost.
    """
    connection = _connect(conninfo, timeout)
    connection.patience = answer_seconds + lock_seconds
    try:
        with deadline(connection, timeout, "setting up the session"):
            _pin(connection, lock_seconds)
        yield connection
    except psycopg.Error as error:
        raise query_error(error) from error
    finally:
        connection.close()


@contextlib.contextmanager
def deadline(connection: Connection, seconds: float, doing: str) -> Iterator[None]:
    """Whatever the block asks of the server is answered in time, or its connection is cut.

    A frozen network keeps a connection open for ever; only cutting our own end helps.

    Args:
        connection: the session that the block uses.
        seconds: how long the block may take.
        doing: what the message says did not end.

    Raises:
        OpsError: the deadline passed.
    """
    passed = threading.Event()
    timer = threading.Timer(seconds, _time_out, (connection, passed))
    timer.daemon = True
    timer.start()
    try:
        with _bounded(connection):
            yield
    except psycopg.OperationalError as error:
        if passed.is_set():
            raise OpsError(
                f"{doing} did not end within {seconds:.0f} s: the server stopped answering",
                "look at the network and at the server's load",
            ) from error
        raise
    finally:
        timer.cancel()


@contextlib.contextmanager
def _bounded(connection: Connection) -> Iterator[None]:
    """Let one deadline hold for the whole block instead of one for each answer."""
    if not isinstance(connection, _Patient):
        yield
        return
    before, connection.bounded = connection.bounded, True
    try:
        yield
    finally:
        connection.bounded = before


def _time_out(connection: Connection, passed: threading.Event) -> None:
    passed.set()
    cut(connection)


def cut(connection: Connection) -> None:
    """End a connection from our side at once; whoever waits on it gets an error."""
    with contextlib.suppress(OSError, psycopg.OperationalError):  # it may just have closed
        end = socket.socket(fileno=os.dup(connection.fileno()))
        end.shutdown(socket.SHUT_RDWR)
        end.close()


def _connect(conninfo: Mapping[str, Any], timeout: float) -> _Patient:
    try:
        return _Patient.connect(
            **{**conninfo, "connect_timeout": max(2, round(timeout))},
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        raise connection_error(error, conninfo) from error


def _pin(connection: Connection, lock_seconds: float) -> None:
    version = connection.info.server_version
    settings = {
        **_PINNED,
        **{name: "0" for name, since in _PINNED_SINCE.items() if version >= since},
        "lock_timeout": f"{round(lock_seconds * 1000)}ms",
    }
    # One question for all: a session is opened often, and may be far away.
    calls = sql.SQL(", ").join([sql.SQL("pg_catalog.set_config(%s, %s, false)")] * len(settings))
    values = [text for setting in settings.items() for text in setting]
    connection.execute(sql.SQL("SELECT {}").format(calls), values)


def set_local(connection: Connection, name: str, value: str) -> None:
    """Set a parameter until the end of the running transaction."""
    connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])


def scalar(connection: Connection, query: sql.SQL | sql.Composed | str, *values: Any) -> Any:
    """The single value that a query answers."""
    text = sql.SQL(query) if isinstance(query, str) else query
    row = connection.execute(text, values or None).fetchone()
    if row is None:
        raise OpsError("the server answered no row where one was expected")
    return row[0]


def refuse_transaction_pooler(
    connection: Connection, conninfo: Mapping[str, Any], timeout: float
) -> None:
    """Refuse a pooler that hands server sessions out per transaction.

    An exported snapshot, a lock and a setting live in one server session. A pooler shows itself
    because the backend it announced is not the one that answers; it pools by transaction if the
    session that just answered us serves somebody else while we are still connected.

    Raises:
        PreconditionError: the connection is pooled by transaction or statement.
    """
    ours = scalar(connection, "SELECT pg_catalog.pg_backend_pid()")
    if ours == connection.info.backend_pid:
        return
    with contextlib.closing(_connect(conninfo, timeout)) as other:
        other.patience = timeout
        try:
            with other.transaction():
                theirs = scalar(other, "SELECT pg_catalog.pg_backend_pid()")
                again = scalar(connection, "SELECT pg_catalog.pg_backend_pid()")
        except psycopg.errors.ProtocolViolation as error:
            raise _shared_pool(conninfo, "statement") from error
    if ours == theirs or again != ours:
        raise _shared_pool(conninfo, "transaction")


def _shared_pool(conninfo: Mapping[str, Any], mode: str) -> PreconditionError:
    return PreconditionError(
        f"{address(conninfo)} is a connection pooler in {mode} mode: snapshots and locks do not "
        "survive there",
        "use the server's own port (5432) in the DSN, or a pooler in session mode",
    )
