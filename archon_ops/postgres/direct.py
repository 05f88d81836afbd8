"""A server behind a DSN, driven with the client tools of its own major version."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

import psycopg
from psycopg import conninfo

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.postgres import facts, session
from archon_ops.postgres.programs import LocalPrograms
from archon_ops.postgres.server import Server
from archon_ops.postgres.tools import SUPPORTED_MAJORS, local_tools

_DEFAULT_HOST, _DEFAULT_PORT = "localhost", "5432"
# What our own code sets; a DSN that sets it otherwise is asking for trouble.
_OURS = ("application_name", "options", "connect_timeout")


def parse_dsn(dsn: str) -> dict[str, str]:
    """The parts of a connection string or URI.

    Raises:
        UsageError: it is malformed; the message does not repeat it, it may hold a password.
    """
    try:
        parts = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise UsageError(
            "the source's dsn is malformed", "write it as postgresql://user@host:5432/database"
        ) from error
    if "@" in str(parts.get("host", "")):
        # The first @ ends the credentials: the rest of the password would pass for a host.
        raise UsageError(
            "the source's dsn is malformed: there is more than one @ before the host",
            "write an @ of the password as %40, or set ARCHON_SOURCES__NAME__PASSWORD instead",
        )
    if shown := sorted(_secret_keywords() & parts.keys()):
        raise UsageError(
            f"the source's dsn holds {shown[0]}, which PostgreSQL's tools take on their command "
            "line only, where others could read it",
            "use a password, or a client certificate whose key has no passphrase",
        )
    return {key: str(value) for key, value in parts.items() if key not in _OURS and value}


def shown(parts: Mapping[str, str]) -> str:
    """The server of these parts, as a plan prints it."""
    return f"{parts.get('host', _DEFAULT_HOST)}:{parts.get('port', _DEFAULT_PORT)}"


def _secret_keywords() -> set[str]:
    """What libpq itself never displays, but for the password, which has a file of its own."""
    options = psycopg.pq.Conninfo.get_defaults()
    return {o.keyword.decode() for o in options if o.dispchar == b"*"} - {"password"}


@contextlib.contextmanager
def opened(
    dsn: str,
    password: str,
    *,
    database: str,
    run_id: str,
    connect_seconds: float,
    answer_seconds: float = session.ANSWER_SECONDS,
    lock_seconds: float = session.LOCK_SECONDS,
) -> Iterator[Server]:
    """The server behind a DSN.

    Args:
        dsn: connection string or URI.
        password: used where the DSN has none; empty leaves it to ~/.pgpass.
        database: a database to ask for the version; the server's maintenance database serves
            where it does not exist.
        run_id: names every session.
        connect_seconds: how long a connection may take.
        answer_seconds: how long an answer may take.
        lock_seconds: how long a lock may take.

    Raises:
        PreconditionError: it cannot be reached, or tools of its version are missing.
    """
    parts = parse_dsn(dsn)
    parts.pop("dbname", None)
    password = parts.pop("password", "") or password
    parts.setdefault("host", _DEFAULT_HOST)
    parts.setdefault("port", _DEFAULT_PORT)
    secret = {"password": password} if password else {}
    # pg_dump finds the password in a file; in its environment or arguments others could read it.
    with _password_file(parts, password) as environment:
        major = _ask_major({**parts, **secret}, database, run_id, connect_seconds)
        yield Server(
            kind="direct",
            host=shown(parts),
            address=parts,
            programs=LocalPrograms(local_tools(major), parts, environment),
            run_id=run_id,
            connect_seconds=connect_seconds,
            answer_seconds=answer_seconds,
            lock_seconds=lock_seconds,
            secret=secret,
        )


def _ask_major(parts: dict[str, str], database: str, run_id: str, seconds: float) -> int:
    base = {**parts, "application_name": session.application_name(run_id)}
    for name in (database, "postgres", "template1"):
        info = {**base, "dbname": name}
        try:
            with session.session(info, timeout=seconds, answer_seconds=seconds) as connection:
                session.refuse_transaction_pooler(connection, info, seconds)
                number = facts.version_num(connection)
                break
        except PreconditionError as error:
            if name == "template1" or "does not exist" not in error.message:
                raise
    major = number // 10000
    if major not in SUPPORTED_MAJORS:
        raise PreconditionError(
            f"the server is PostgreSQL {major}; supported are "
            f"{SUPPORTED_MAJORS[0]} to {SUPPORTED_MAJORS[-1]}",
            "use the tools of that version by hand",
        )
    return major


@contextlib.contextmanager
def _password_file(parts: dict[str, str], password: str) -> Iterator[dict[str, str]]:
    """Environment that points libpq's tools at a password file.

    The file is in memory and has no name but through us: whatever ends us, nothing is left.
    """
    if not password:
        passfile = parts.get("passfile") or os.environ.get("PGPASSFILE")
        yield {"PGPASSFILE": passfile} if passfile else {}
        return
    if "\n" in password or "\r" in password:
        raise UsageError(
            "the source's password holds a line end, which no password file can",
            "choose another password for that role",
        )
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    fd = os.memfd_create("pgpass", os.MFD_CLOEXEC)
    try:
        os.fchmod(fd, 0o600)  # libpq ignores a file that others may read
        os.write(fd, f"*:*:*:*:{escaped}\n".encode())
        yield {"PGPASSFILE": f"/proc/{os.getpid()}/fd/{fd}"}
    finally:
        os.close(fd)
