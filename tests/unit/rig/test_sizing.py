from __future__ import annotations

import pytest

from archon_ops.rig import sizing


@pytest.mark.parametrize("vectors", [True, False])
def test_larger_samples_have_more_rows(vectors: bool) -> None:
    sizes = [0, 1, 20 << 20, 100 << 20, 4 << 30]
    rows = [sizing.rows_for(size, vectors=vectors) for size in sizes]
    assert rows == sorted(rows)
    assert rows[0] == rows[1] == sizing.MINIMUM_ROWS
    assert rows[-1] > 100_000


def test_the_parts_are_smaller_than_the_whole() -> None:
    rows = sizing.rows_for(400 << 20, vectors=True)
    assert sizing.index_bytes(rows, vectors=True) < 400 << 20
    assert sizing.payload_bytes(rows, vectors=True) < 400 << 20
