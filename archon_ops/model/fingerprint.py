"""What a table's content is reduced to, so that two databases can be compared row for row.

Every row becomes a SHA-256 over the binary form of its columns; the digests are added up, so the
order of rows does not matter and, unlike with xor, two equal rows do not cancel each other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableFingerprint:
    """The content of one table in one snapshot.

    Attributes:
        schema: schema of the table.
        table: name of the table.
        rows: number of rows.
        content: 4 sums of 64-bit quarters of the row digests, decimal, joined by ":".
        generated: the same over stored generated columns, None where there are none.
            They depend on the server's major version (a tsvector does), so they stand apart.
        columns: the columns that `content` covers, by name.
    """

    schema: str
    table: str
    rows: int
    content: str
    generated: str | None
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """Schema-qualified name, as people write it."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class SequencePosition:
    """How far a sequence had counted.

    Attributes:
        last_value: its last value; None when it was never used.
        owner_max: the furthest value in the column that it feeds; None without such a column.
        direction: 1 counts up, -1 counts down, 0 begins again at its end: no value is ahead.
    """

    schema: str
    sequence: str
    last_value: int | None
    owner_max: int | None
    direction: int = 1

    @property
    def name(self) -> str:
        """Schema-qualified name, as people write it."""
        return f"{self.schema}.{self.sequence}"
