"""One PostgreSQL: how sessions reach it, which programs belong to it, which run uses it.

Embedded, behind a DSN, in a container: they differ in where the address comes from and where the
programs run, and in nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from archon_ops.errors import LockedError, OpsError
from archon_ops.postgres import facts, session
from archon_ops.postgres.programs import Programs, Running
from archon_ops.postgres.session_errors import lock_error


@dataclass(frozen=True)
class Server:
    """A server and the run that uses it.

    Attributes:
        kind: "embedded", "direct" or "container".
        host: what a plan prints before the database.
        address: libpq keywords host, port, user and more; never a password.
        programs: its client programs.
        run_id: names every session that is opened.
        connect_seconds: how long a connection may take.
        secret: the password for psycopg, if one is needed.
        answer_seconds: how long an answer may take where nothing else is said.
        lock_seconds: how long the server waits for a lock of a session.
        data_folder: the data directory, where it is on this machine and ours to see.
    """

    kind: str
    host: str
    address: Mapping[str, Any]
    programs: Programs
    run_id: str
    connect_seconds: float
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    answer_seconds: float = session.ANSWER_SECONDS
    lock_seconds: float = session.LOCK_SECONDS
    data_folder: Path | None = None

    def conninfo(self, database: str) -> dict[str, Any]:
        """Libpq keywords for psycopg, password included: never print it."""
        return {
            **self.address,
            **self.secret,
            "dbname": database,
            "application_name": session.application_name(self.run_id),
        }

    @contextlib.contextmanager
    def connect(self, database: str) -> Iterator[session.Connection]:
        """A session with pinned settings on one of its databases.

        Raises:
            PreconditionError: server, database or role is not to be had.
            LockedError: from the block, a lock did not come; names table and session.
        """
        try:
            with self._session(database) as connection:
                yield connection
        except LockedError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise self.lock_error(database) from error
            raise

    def lock_error(self, database: str) -> LockedError:
        """A lock on a table of this database that did not come, with who holds what."""
        try:
            with self._session(database) as connection:
                who = facts.holders(connection)
        except OpsError:  # it only would have told more
            who = ""
        return lock_error(who, self.lock_seconds)

    def _session(self, database: str) -> contextlib.AbstractContextManager[session.Connection]:
        return session.session(
            self.conninfo(database),
            timeout=self.connect_seconds,
            answer_seconds=self.answer_seconds,
            lock_seconds=self.lock_seconds,
        )

    def spawn(
        self,
        program: str,
        *args: str,
        database: str | None,
        options: Mapping[str, str] | None = None,
        pipe: bool = False,
    ) -> AbstractContextManager[Running]:
        """Run one of PostgreSQL's client programs against one of its databases.

        Args:
            program: pg_dump, pg_restore, psql.
            args: its arguments, without any address.
            database: which database; quoted for libpq, so any name is safe.
            options: server settings for its sessions.
            pipe: whether standard output is read.
        """
        env = self.tool_environment(options)
        return self.programs.spawn(program, *args, database=database, env=env, pipe=pipe)

    def staged(self, dump: Path) -> AbstractContextManager[str]:
        """The path by which its programs can read a dump of ours, for the length of the block."""
        return self.programs.staged(dump, self.run_id)

    def foreground_environment(self) -> dict[str, str]:
        """Environment of a program that gets our own standard input and output."""
        return {**self.programs.environment, **self.tool_environment()}

    def tool_environment(self, options: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment of a client program: run name and server settings."""
        settings = " ".join(f"-c {name}={value}" for name, value in (options or {}).items())
        return {
            "PGAPPNAME": session.tool_name(self.run_id),
            "PGCONNECT_TIMEOUT": str(max(2, round(self.connect_seconds))),
            **({"PGOPTIONS": settings} if settings else {}),
        }
