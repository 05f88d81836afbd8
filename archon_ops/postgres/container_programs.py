"""PostgreSQL's client programs inside a container, working on the server beside them.

No program inside is ever killed: it is cancelled by ending its session on the server.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from psycopg import conninfo

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts.described import Container
from archon_ops.hosts.engine import Engine
from archon_ops.hosts.inside import Exec
from archon_ops.hosts.process import Finished
from archon_ops.postgres import codecs
from archon_ops.postgres.programs import LIST_SUFFIX
from archon_ops.postgres.tools import SUPPORTED_MAJORS

_ANSWER_SECONDS = 30.0
_CANCEL_SECONDS = 30.0
_COPY_FOLDER = "/tmp"  # noqa: S108 - inside the container, where every image has it
_COPY_PREFIX = "archon_ops-"
# A dump, and the list that says which of its entries are wanted.
_SUFFIXES = (".dump", LIST_SUFFIX)
# Parallel index builds need more shared memory than Docker's default of 64 MB.
_ENOUGH_SHARED = 256 << 20
_DEBIAN_FOLDER = "/usr/lib/postgresql"
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")


@dataclass(frozen=True)
class ContainerPrograms:
    """PostgreSQL's programs inside a container, working on the server beside them.

    Attributes:
        container: as the engine described it when we began.
        engine: the engine.
        user: role to work as.
        folder: where the programs lie inside; empty for those on PATH.
        version: as they print it ("17.5").
        cancel: ends the server's sessions of a name; how a program inside is stopped.
    """

    container: Container
    engine: Engine = field(repr=False)
    user: str
    folder: str
    version: str
    cancel: Callable[[str], None] = field(repr=False)

    @property
    def major(self) -> int:
        """First number of the version."""
        return int(self.version.partition(".")[0])

    @property
    def small_shared_memory(self) -> bool:
        """Whether parallel index builds would fail for lack of shared memory."""
        return self.container.shm_bytes < _ENOUGH_SHARED

    @cached_property
    def best_codec(self) -> str:
        """The fastest compression that its pg_dump has."""
        return codecs.best(self._ask_pg_dump)

    def has_codec(self, codec: str) -> bool:
        """Whether its pg_dump, and so its pg_restore, knows a compression."""
        return codecs.has(codec, self._ask_pg_dump)

    def compress_argument(self, codec: str) -> str:
        """How its pg_dump wants to be told a compression."""
        return codecs.argument(codec, self._ask_pg_dump, f"container {self.container.name}")

    @contextlib.contextmanager
    def spawn(
        self,
        program: str,
        *args: str,
        database: str | None,
        env: Mapping[str, str],
        pipe: bool = False,  # noqa: ARG002 - what nobody reads is thrown away by the wait
    ) -> Iterator[Exec]:
        """Run a program inside; when the block is left early it is cancelled on the server."""
        where = () if database is None else ("--no-password", f"--dbname={self._dsn(database)}")
        argv = (self._program(program), *args, *where)
        with self.engine.spawn(self.container.id, argv, env=env) as child:
            try:
                yield child
            finally:
                if child.running():
                    self.cancel(env["PGAPPNAME"])
                    child.pause(_CANCEL_SECONDS)

    @contextlib.contextmanager
    def staged(self, dump: Path, run_id: str) -> Iterator[str]:
        """The file as one inside, for programs that need to seek in it; one dump, one list."""
        name = f"{_COPY_PREFIX}{run_id}{_SUFFIXES[dump.suffix == LIST_SUFFIX]}"
        path = f"{_COPY_FOLDER}/{name}"
        self._check_copy_room(dump.stat().st_size)
        try:
            self.engine.put(self.container.id, _COPY_FOLDER, name, dump)
            yield path
        finally:
            self._remove(path)

    def forget(self, run_ids: tuple[str, ...]) -> None:
        """Remove the copies that dead runs left inside."""
        if run_ids:
            names = (f"{_COPY_PREFIX}{run}{suffix}" for run in run_ids for suffix in _SUFFIXES)
            self._remove(*(f"{_COPY_FOLDER}/{name}" for name in names))

    def free_bytes(self, folder: str) -> int | None:
        """Room in a folder inside; None where that cannot be told."""
        try:
            done = self.engine.run(
                self.container.id, ("df", "-Pk", folder), timeout=_ANSWER_SECONDS
            )
        except OpsError:
            return None
        fields = done.stdout.splitlines()[-1].split() if done.returncode == 0 else []
        return int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None

    @property
    def environment(self) -> Mapping[str, str]:
        """Nothing: what they need is set inside."""
        return {}

    def command_line(
        self, program: str, *args: str, database: str, terminal: bool = False
    ) -> tuple[str, ...]:
        """The command line of a program inside, through the docker client on this machine."""
        flags = ("--interactive", "--tty") if terminal else ("--interactive",)
        inside = (self._program(program), *args, f"--dbname={self._dsn(database)}")
        return ("docker", "exec", *flags, self.container.id, *inside)

    def _dsn(self, database: str) -> str:
        return conninfo.make_conninfo(user=self.user, dbname=database)

    def _program(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    @cached_property
    def _ask_pg_dump(self) -> codecs.Ask:
        """Runs its pg_dump; once for each question, since any program inside costs 50 ms."""

        def ask(args: tuple[str, ...]) -> Finished:
            argv = (self._program("pg_dump"), *args)
            return self.engine.run(self.container.id, argv, timeout=_ANSWER_SECONDS)

        return functools.cache(ask)

    def _remove(self, *paths: str) -> None:
        self.engine.run(self.container.id, ("rm", "-f", *paths), timeout=_ANSWER_SECONDS)

    def _check_copy_room(self, needed: int) -> None:
        free = self.free_bytes(_COPY_FOLDER)
        if free is not None and free < needed:
            raise PreconditionError(
                f"not enough room in {_COPY_FOLDER} of container {self.container.name}: "
                f"{needed} bytes needed, {free} free",
                "free some space in the container",
            )


def find_programs(engine: Engine, container: Container) -> tuple[str, str]:
    """Folder and version of the client programs: those of the server's own major version.

    Debian keeps every version in a folder of its own, and what is on PATH is a wrapper.
    """
    for folder in _folders(engine, container):
        program = f"{folder}/pg_dump" if folder else "pg_dump"
        if match := _VERSION.search(_said(engine, container, program, "--version")):
            return folder, match[1]
    raise PreconditionError(
        f"no pg_dump in container {container.name}",
        'is it a PostgreSQL container? See container = "NAME" in archon.toml',
    )


def _folders(engine: Engine, container: Container) -> Iterator[str]:
    """Where to look, most likely first; the empty one stands for PATH."""
    major = container.environment.get("PG_MAJOR")
    if major:
        yield f"{_DEBIAN_FOLDER}/{major}/bin"
    installed = _said(engine, container, "ls", _DEBIAN_FOLDER).split()
    majors = sorted((int(name) for name in installed if name.isdigit()), reverse=True)
    yield from (f"{_DEBIAN_FOLDER}/{m}/bin" for m in majors if m in SUPPORTED_MAJORS)
    yield ""


def _said(engine: Engine, container: Container, *argv: str) -> str:
    """What a program inside printed; nothing where there is no such program, or it failed."""
    with contextlib.suppress(OpsError):
        done = engine.run(container.id, argv, timeout=_ANSWER_SECONDS)
        if done.returncode == 0:
            return done.stdout
    return ""
