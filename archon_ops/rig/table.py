"""Rows on their way into a table, and the values that make two samples alike."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import sql

from archon_ops.postgres.session import Connection

Row = tuple[object, ...]

# All times count from here and never from the clock: two samples of one seed are the same.
EPOCH = datetime(2025, 10, 1, 8, 0, tzinfo=UTC)
# In minutes, for `moment`.
DAY = 24 * 60.0
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "archon-sample")


@dataclass(frozen=True)
class Table:
    """What goes into one table.

    Attributes:
        name: table, with its schema if that is not public.
        columns: column -> type in which the values travel, in the order of a row's values.
        rows: the rows; may be a generator, and is read once.
    """

    name: str
    columns: Mapping[str, str]
    rows: Iterable[Row]

    def copy_into(self, connection: Connection, loaded: Callable[[Row], None]) -> int:
        """Load the rows in COPY's binary format; returns their number.

        Args:
            connection: of a role that may insert into the table.
            loaded: is called with each row that was handed over.
        """
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            sql.Identifier(*self.name.split(".")),
            sql.SQL(", ").join(map(sql.Identifier, self.columns)),
        )
        count = 0
        with connection.cursor().copy(statement) as copy:
            copy.set_types(list(self.columns.values()))
            for row in self.rows:
                copy.write_row(row)
                loaded(row)
                count += 1
        return count


def columns(text: str) -> dict[str, str]:
    """Column -> type, from "column:type column:type"."""
    return dict(part.split(":", 1) for part in text.split())


def identity(seed: int, *parts: object) -> uuid.UUID:
    """The UUID of a thing that is named by `parts`; another seed gives another."""
    return uuid.uuid5(_NAMESPACE, "/".join(map(str, (seed, *parts))))


def moment(minutes: float) -> datetime:
    """The UTC time that many minutes after EPOCH."""
    return EPOCH + timedelta(minutes=minutes)
