"""The table of contents of a custom-format dump, as `pg_restore --list` prints it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.hosts import process
from archon_ops.postgres.messages import failure
from archon_ops.postgres.server import Server
from archon_ops.postgres.tools import Tools

_HEAD = re.compile(r"^;\s+(?P<key>[A-Za-z_ ]+): (?P<value>.*)$")
_ENTRY = re.compile(r"^(?P<id>\d+); \d+ \d+ (?P<text>.+)$")
_READ_SECONDS = 300.0
_ARCHON_DATA = "TABLE DATA public archon_"


def is_archon_data(schema: str, table: str) -> bool:
    """Whether the data of this table is counted by `Contents.archon_tables`.

    The listing does not quote names: a schema "public archon_x" reads like a table of Archon's.
    """
    line = f"TABLE DATA {schema} {table}".replace("\n", " ").replace("\r", " ")
    return line.startswith(_ARCHON_DATA)


@dataclass(frozen=True)
class Contents:
    """What the head of a dump tells.

    Attributes:
        database: name of the database that it was taken from.
        entries: number of entries.
        compression: as printed ("gzip", "zstd", "none", or a number from older tools).
        server: version of the server ("15.18 (Debian …)").
        pg_dump: version of the tool that wrote it.
        lines: the entries' texts ("TABLE public archon_tasks postgres").
        numbers: the entries' numbers, in the order of `lines`; pg_restore is told by them.
    """

    database: str
    entries: int
    compression: str
    server: str
    pg_dump: str
    lines: tuple[str, ...]
    numbers: tuple[int, ...] = ()

    def chosen(self, wanted: Callable[[str], bool]) -> tuple[int, ...]:
        """Numbers of the entries whose text is wanted."""
        pairs = zip(self.numbers, self.lines, strict=True)
        return tuple(number for number, text in pairs if wanted(text))

    @property
    def extensions(self) -> tuple[str, ...]:
        """Names of the extensions that it creates."""
        words = (line.split() for line in self.lines)
        return tuple(w[2] for w in words if w[:2] == ["EXTENSION", "-"] and len(w) > 2)

    def owners(self, roles: Iterable[str]) -> frozenset[str]:
        """Those of the roles that something in it belongs to: an entry ends with its owner."""
        return frozenset(r for r in roles if any(e.endswith(f" {r}") for e in self.lines))

    def trigger_owners(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Those of the roles that own an event trigger, which only superusers may."""
        entries = [line for line in self.lines if line.startswith("EVENT TRIGGER ")]
        return tuple(r for r in roles if any(entry.endswith(f" {r}") for entry in entries))

    @property
    def archon_tables(self) -> int:
        """How many of Archon's tables it holds data of."""
        return sum(line.startswith(_ARCHON_DATA) for line in self.lines)

    @property
    def server_major(self) -> int:
        """Major version of the server that it was taken from; 0 where it is not told."""
        match = re.match(r"\d+", self.server)
        return int(match[0]) if match else 0


def read_contents(tools: Tools, dump: Path) -> Contents:
    """Read a dump's table of contents; none of its data is looked at.

    Args:
        tools: programs of the dump's major version or newer.
        dump: a regular file.

    Raises:
        UntrustworthyError: it has none that can be read.
        PreconditionError: a newer pg_dump wrote it.
    """
    # The path is absolute, so it cannot be taken for an option.
    done = process.run(
        tools.argv("pg_restore", "--list", str(dump.absolute())), timeout=_READ_SECONDS
    )
    if done.returncode != 0:
        if match := re.search(r"unsupported version \(1\.(\d+)\)", done.stderr):
            raise _too_new(tools, dump, int(match[1]))
        error = failure(done, f"reading the table of contents of {dump.name}")
        raise UntrustworthyError(error.message, f"inv verify {dump.name}")
    return _parse(done.stdout)


def _too_new(tools: Tools, dump: Path, archive: int) -> PreconditionError:
    """The tools' own message has nothing but the version of the archive format, 1.N."""
    major, writer = (17, "17 or newer") if archive >= 16 else (16, "16")
    return PreconditionError(
        f"{dump.name} was written by pg_dump of PostgreSQL {writer}, which pg_restore "
        f"{tools.version} cannot read",
        f"restore it into a server of PostgreSQL {writer}, whose pg_restore reads it "
        f"(package postgresql-client-{major})",
    )


def read_through(tools: Tools, dump: Path, *, timeout: float) -> None:
    """Decompress every byte of data and turn it into SQL that goes nowhere.

    Raises:
        UntrustworthyError: something in it cannot be read.
    """
    argv = tools.argv("pg_restore", "--file=/dev/null", str(dump.absolute()))
    with process.spawn(argv) as child:
        _check_read(child.wait(timeout), dump)


def read_through_at(server: Server, dump: Path, *, timeout: float) -> None:
    """The same with the programs of a server, wherever they are.

    Raises:
        UntrustworthyError: something in it cannot be read.
    """
    with (
        server.staged(dump) as path,
        server.spawn("pg_restore", "--file=/dev/null", path, database=None) as child,
    ):
        _check_read(child.wait(timeout), dump)


def _check_read(done: process.Finished, dump: Path) -> None:
    if done.returncode != 0 or done.stderr.strip():
        raise UntrustworthyError(
            failure(done, f"reading all of {dump.name}").message, f"inv verify {dump.name}"
        )


def _parse(text: str) -> Contents:
    lines = text.split("\n")  # pg_restore keeps these out of names, and no other line ends
    head = {m["key"].strip(): m["value"] for m in map(_HEAD.match, lines) if m}
    entries = [(int(m["id"]), m["text"]) for m in map(_ENTRY.match, lines) if m]
    return Contents(
        database=head.get("dbname", ""),
        entries=len(entries),
        compression=head.get("Compression", ""),
        server=head.get("Dumped from database version", ""),
        pg_dump=head.get("Dumped by pg_dump version", ""),
        lines=tuple(text for _, text in entries),
        numbers=tuple(number for number, _ in entries),
    )
