r"""Archon's rows, straight from the dump into the staged tables: each is written once.

pg_restore prints `COPY public.archon_tasks (…) FROM stdin;`, the rows, and `\.`; only the schema
in that one line is another here, the rows go through as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from psycopg import sql

from archon_ops.errors import OpsError, UntrustworthyError
from archon_ops.postgres.session import Connection

_COPY = re.compile(rb"COPY public\.(?P<what>.+) FROM stdin;")
_SETVAL = re.compile(
    rb"SELECT pg_catalog\.setval\('public\.(?P<name>(?:[^']|'')+)', (?P<at>-?\d+), "
    rb"(?P<used>true|false)\);"
)
_END = b"\n\\.\n"
# What else it prints: settings of its own session, remarks, and marks for psql.
_IGNORED = (b"SET ", b"--", b"\\restrict", b"\\unrestrict", b"SELECT pg_catalog.set_config(")


class _Lines:
    """A stream of blocks, read by lines, or up to the end of rows."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def line(self) -> bytes | None:
        """The next line, None at the end."""
        while (at := self._rest.find(b"\n")) < 0:
            block = next(self._blocks, None)
            if block is None:
                return None
            self._rest += block
        line, self._rest = self._rest[:at], self._rest[at + 1 :]
        return line

    def rows(self) -> Iterator[bytes]:
        """Everything up to the line that ends the rows."""
        self._rest = b"\n" + self._rest  # so that the end of no rows at all looks the same
        first = True
        while (at := self._rest.find(_END)) < 0:
            keep = len(_END) - 1
            out, self._rest = self._rest[:-keep], self._rest[-keep:]
            if first and out:
                out, first = out[1:], False
            yield out
            block = next(self._blocks, None)
            if block is None:
                raise UntrustworthyError("the dump ends in the middle of a table's rows")
            self._rest += block
        out, self._rest = self._rest[: at + 1], self._rest[at + len(_END) :]
        yield out[1:] if first else out


def load(
    connection: Connection,
    schema: str,
    blocks: Iterator[bytes],
    progress: Callable[[str, int], None] = lambda *_: None,
) -> None:
    """Write what pg_restore prints of Archon's data into another schema.

    Args:
        connection: session on the database.
        schema: where the tables are.
        blocks: standard output of pg_restore.
        progress: told the table and its bytes so far.

    Raises:
        OpsError: the dump holds its rows in another form than COPY.
    """
    lines = _Lines(blocks)
    prefix = sql.Identifier(schema).as_bytes(None) + b"."
    while (line := lines.line()) is not None:
        if match := _COPY.fullmatch(line):
            _copy(connection, prefix + match["what"], lines, progress)
        elif match := _SETVAL.fullmatch(line):
            name = (prefix + match["name"].replace(b"''", b"'")).decode()
            values = [name, int(match["at"]), match["used"] == b"true"]
            connection.execute("SELECT pg_catalog.setval(%s, %s, %s)", values)
        elif line and not line.startswith(_IGNORED):
            text = line[:60].decode(errors="replace")
            raise OpsError(
                f"the dump holds rows in another form than COPY: {text}",
                "inv restore … --scope database takes it",
            )


def _copy(
    connection: Connection, what: bytes, lines: _Lines, progress: Callable[[str, int], None]
) -> None:
    name, done = what.partition(b" ")[0].decode(), 0
    with connection.cursor() as cursor, cursor.copy(b"COPY " + what + b" FROM STDIN") as copy:
        for rows in lines.rows():
            copy.write(rows)
            done += len(rows)
            progress(name, done)
