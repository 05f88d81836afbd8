from __future__ import annotations

from datetime import UTC, datetime

import pytest

from archon_ops.model.pitr.wal import (
    is_segment,
    last_commit,
    position,
    segment_before,
    segment_name,
    segment_number,
    timeline_of,
)

MB = 1 << 20


@pytest.mark.parametrize(
    ("name", "size", "before"),
    [
        ("000000010000000000000003", 16 * MB, "000000010000000000000002"),
        ("000000020000000100000000", 16 * MB, "0000000200000000000000FF"),
        ("000000010000000100000000", 64 * MB, "00000001000000000000003F"),
        ("000000010000000000000001", 16 * MB, None),
    ],
)
def test_the_segment_before(name: str, size: int, before: str | None) -> None:
    assert segment_before(name, size) == before


def test_the_last_commit() -> None:
    said = """\
rmgr: Transaction len (rec/tot):     34/    34, tx: 1, lsn: 0/1, prev 0/0, desc: COMMIT \
2026-11-24 15:00:00.123456 UTC
rmgr: Transaction len (rec/tot):     34/    34, tx: 2, lsn: 0/2, prev 0/1, desc: ABORT \
2026-11-24 17:00:00.000000 UTC
rmgr: Transaction len (rec/tot):    421/   421, tx: 3, lsn: 0/3, prev 0/2, desc: COMMIT \
2026-11-24 16:00:00.000001 UTC; inval msgs: catcache 80
"""
    assert last_commit(said) == datetime(2026, 11, 24, 16, 0, 0, 1, tzinfo=UTC)
    assert last_commit("") is None


def test_names() -> None:
    assert is_segment("000000010000000000000003")
    assert not is_segment("00000002.history")
    assert timeline_of("0000001A00000000") == 26


def test_places() -> None:
    assert position("0/16B3748") == 0x16B3748
    assert position("1A/0000F000") == 0x1A0000F000
    number = position("1A/0000F000") // (16 * MB)
    assert segment_name(2, number, 16 * MB) == "000000020000001A00000000"
    assert segment_number("000000020000001A00000000", 16 * MB) == number
