from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from archon_ops.model.audit import Audit, Basis, Count, Index, Table, VectorColumn
from archon_ops.model.backup import TableSize
from archon_ops.model.growth import Line
from archon_ops.model.whatif import Choice, costs, factor, row_bytes

ROWS = 1000
VALUE = 4 * 1536 + 8
INDEX = Index("ivf", "ivfflat", ROWS * VALUE, 0, None, needed=False, valid=True)
SIZE = TableSize("public", "archon_crawled_pages", 10**6, INDEX.bytes, ROWS * VALUE, 0)
SIZE = replace(SIZE, total_bytes=SIZE.heap_bytes + SIZE.index_bytes + SIZE.toast_bytes)
COLUMN = VectorColumn("embedding_1536", "vector", 1536, Count(ROWS, Basis.COUNTED))
PAGES = Table(SIZE, Count(ROWS, Basis.COUNTED), 0, True, (COLUMN,), (INDEX,))
AUDIT = Audit(
    datetime(2026, 1, 1, tzinfo=UTC), "1", "postgres", 10**8, (PAGES,), {}, 0, 0, None, ()
)
AS_NOW = Choice(rows_per_week=0, dimension=0, half=False, retention=10)


def test_nothing_assumed_changes_nothing() -> None:
    now, changed, later = costs(AUDIT, AS_NOW, Line(0.0, 0.1))

    assert now.database_bytes == changed.database_bytes == later.database_bytes == 10**8
    assert now.vector_bytes == 2 * ROWS * VALUE
    assert (now.backup_bytes, now.storage_bytes) == (10**7, 10**8)


def test_halfvec_takes_half_of_values_and_indexes() -> None:
    _, changed, _ = costs(AUDIT, replace(AS_NOW, half=True), None)

    assert changed.vector_bytes == 2 * ROWS * (2 * 1536 + 8)
    assert changed.database_bytes == 10**8 - 2 * ROWS * 2 * 1536
    assert changed.backup_bytes is None


def test_another_dimension_is_scaled() -> None:
    choice = replace(AS_NOW, dimension=3072)

    assert factor(AUDIT, choice) == pytest.approx((4 * 3072 + 8) / VALUE)


def test_a_year_of_rows_takes_what_rows_take() -> None:
    choice = replace(AS_NOW, rows_per_week=10)
    _, changed, later = costs(AUDIT, choice, None)

    assert row_bytes(AUDIT, choice) == pytest.approx(SIZE.total_bytes / ROWS)
    grown = later.database_bytes - changed.database_bytes
    assert grown == pytest.approx(52 * 10 * SIZE.total_bytes / ROWS, abs=1)
    assert later.vector_bytes - changed.vector_bytes == pytest.approx(520 * 2 * VALUE, abs=1)


def test_a_database_without_embeddings_grows_by_none() -> None:
    bare = replace(AUDIT, tables=(replace(PAGES, vectors=()),))

    assert factor(bare, AS_NOW) == 1.0
    assert [c.database_bytes for c in costs(bare, replace(AS_NOW, rows_per_week=9), None)] == [
        10**8
    ] * 3
