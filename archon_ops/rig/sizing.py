"""How many rows make a sample of a wanted size: measured on PostgreSQL 18 with pgvector 0.8.

A "row" here is one chunk and one code example together, with their share of everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

# So that every dimension occurs, and the sample is worth a look.
MINIMUM_ROWS = 32


@dataclass(frozen=True)
class Cost:
    """Bytes that a sample takes.

    Attributes:
        fixed: of the smallest sample. With vectors that is mostly the eight ivfflat indexes:
            each of their 100 lists has a page of its own, and a centre, even when it is empty.
        per_row: of Archon's tables and indexes for each row more.
        index_fixed, index_per_row: the share of the indexes in these two.
        payload: of the values of one row on their way to the server.
    """

    fixed: int
    per_row: int
    index_fixed: int
    index_per_row: int
    payload: int


_WITH_VECTORS = Cost(11_600_000, 36_300, 11_600_000, 17_200, 16_500)
_WITHOUT = Cost(1_600_000, 7_400, 600_000, 2_800, 4_500)


def rows_for(size_bytes: int, *, vectors: bool) -> int:
    """Rows of which Archon's tables grow to about `size_bytes`, at least MINIMUM_ROWS."""
    cost = _cost(vectors)
    return max(MINIMUM_ROWS, (size_bytes - cost.fixed) // cost.per_row)


def payload_bytes(rows: int, *, vectors: bool) -> int:
    """About how many bytes of values will be sent to the server."""
    return rows * _cost(vectors).payload


def index_bytes(rows: int, *, vectors: bool) -> int:
    """About how large all indexes will be."""
    cost = _cost(vectors)
    return cost.index_fixed + rows * cost.index_per_row


def _cost(vectors: bool) -> Cost:
    return _WITH_VECTORS if vectors else _WITHOUT
