"""PostgreSQL's client programs, wherever they run: on this machine, or inside a container."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from psycopg import conninfo

from archon_ops.hosts import process
from archon_ops.postgres import tools as local
from archon_ops.postgres.tools import Tools

LIST_SUFFIX = ".list"  # of a file that tells pg_restore which entries are wanted


class Running(Protocol):
    """A client program at work."""

    def blocks(self, seconds: float) -> Iterator[bytes]:
        """Its standard output in blocks until it ends; the next may take so many seconds."""

    def running(self) -> bool:
        """Whether it has not ended yet."""

    def pause(self, seconds: float) -> None:
        """Sleep until it ends, at most so long."""

    def wait(self, timeout: float) -> process.Finished:
        """Wait for its end."""


class Programs(Protocol):
    """The client programs that belong to a server, of its own major version."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What they need besides, such as a password file; for psql on our terminal."""

    @property
    def version(self) -> str:
        """As they print it ("18.6")."""

    @property
    def major(self) -> int:
        """First number of the version."""

    @property
    def best_codec(self) -> str:
        """The fastest compression that their pg_dump has."""

    def has_codec(self, codec: str) -> bool:
        """Whether they know a compression."""

    @property
    def small_shared_memory(self) -> bool:
        """Whether the server has too little shared memory for parallel index builds."""

    def compress_argument(self, codec: str) -> str:
        """How their pg_dump wants to be told a compression."""

    def spawn(
        self,
        program: str,
        *args: str,
        database: str | None,
        env: Mapping[str, str],
        pipe: bool = False,
    ) -> AbstractContextManager[Running]:
        """Run one of them, against a database if one is named; afterwards it has ended.

        Args:
            program: its name.
            args: its arguments, without any address.
            database: which database; None where it works on a file alone.
            env: its environment, PGAPPNAME among it.
            pipe: whether its standard output is read.
        """

    def staged(self, dump: Path, run_id: str) -> AbstractContextManager[str]:
        """The path by which they can read a dump of ours, for the length of the block."""

    def forget(self, run_ids: tuple[str, ...]) -> None:
        """Remove what dead runs staged."""

    def free_bytes(self, folder: str) -> int | None:
        """Room in a folder of the server's machine; None where that cannot be told."""

    def command_line(
        self, program: str, *args: str, database: str, terminal: bool = False
    ) -> tuple[str, ...]:
        """The command line of a program that gets our own standard input and output.

        Args:
            program: its name.
            args: its arguments, without any address.
            database: which database.
            terminal: whether a person sits at it.
        """


@dataclass(frozen=True)
class LocalPrograms:
    """Programs on this machine.

    Attributes:
        tools: where they lie.
        address: libpq keywords of the server, never a password.
        environment: what they need besides, such as a password file.
    """

    tools: Tools
    address: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    small_shared_memory: bool = False

    @property
    def version(self) -> str:
        """As they print it ("18.6")."""
        return self.tools.version

    @property
    def major(self) -> int:
        """First number of the version."""
        return self.tools.major

    @property
    def best_codec(self) -> str:
        """The fastest compression that pg_dump has."""
        return next(iter(local.codecs(self.tools)), "none")

    def has_codec(self, codec: str) -> bool:
        """Whether pg_dump, and so pg_restore, knows a compression."""
        return codec in local.codecs(self.tools)

    def compress_argument(self, codec: str) -> str:
        """How pg_dump wants to be told a compression."""
        return local.compress_argument(codec, self.tools)

    @contextlib.contextmanager
    def spawn(
        self,
        program: str,
        *args: str,
        database: str | None,
        env: Mapping[str, str],
        pipe: bool = False,
    ) -> Iterator[process.Child]:
        """Run a program; when the block is left early it is stopped, and cancels on the server."""
        where = () if database is None else ("--no-password", f"--dbname={self.dsn(database)}")
        argv = self.tools.argv(program, *args, *where)
        with process.spawn(argv, env={**self.environment, **env}, pipe=pipe) as child:
            yield child

    @contextlib.contextmanager
    def staged(self, dump: Path, run_id: str) -> Iterator[str]:  # noqa: ARG002 - no copy is made
        """The dump itself; its path is absolute, so it cannot be taken for an option."""
        yield str(dump.absolute())

    def forget(self, run_ids: tuple[str, ...]) -> None:
        """Nothing was staged."""

    def free_bytes(self, folder: str) -> int | None:  # noqa: ARG002 - may be another machine's
        """Unknown: the server may be on another machine."""
        return None

    def command_line(
        self,
        program: str,
        *args: str,
        database: str,
        terminal: bool = False,  # noqa: ARG002 - the terminal is the program's own either way
    ) -> tuple[str, ...]:
        """The command line of a program."""
        return self.tools.argv(program, *args, f"--dbname={self.dsn(database)}")

    def dsn(self, database: str) -> str:
        """Connection string in key-value form without a password: it may be seen in argv."""
        return conninfo.make_conninfo(**{**self.address, "dbname": database})
