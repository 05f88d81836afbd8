from __future__ import annotations

import pytest

from archon_ops.model.scale import GB, Line, Trial, fitted, machines, parts


def trial(size: int) -> Trial:
    return Trial(size, 1 + size / GB, size // 2, 2 + 10 * size / GB, size / GB, size // 50)


TRIALS = tuple(trial(size) for size in (GB // 4, GB // 2, GB))


def test_lines_are_found_again() -> None:
    line = fitted(TRIALS, lambda t: t.restore_seconds)
    assert line.base == pytest.approx(2)
    assert line.at(100 * GB) == pytest.approx(1002)
    assert line.reaches(1002) == pytest.approx(100 * GB)


def test_nothing_is_ever_projected_below_nothing() -> None:
    falling = fitted(TRIALS, lambda t: -t.backup_seconds + 10)
    assert falling.slope == 0
    assert falling.reaches(1e9) is None
    steep = fitted(TRIALS, lambda t: (t.database_bytes / GB) ** 2)
    assert steep.base == 0
    assert steep.slope > 0
    with pytest.raises(ValueError, match="one size"):
        fitted(TRIALS[:1], lambda t: t.backup_seconds)


def test_what_gives_way_first() -> None:
    found = {part.what.split()[0]: part for part in parts(TRIALS)}
    assert found["restore"].gives_way == pytest.approx(59.8 * GB)
    assert found["backup"].gives_way == pytest.approx(14399 * GB)
    assert "pitr" in found["restore"].next
    # A second each to dump and to start, and one to prove, a thousand times a day.
    assert machines(tuple(found.values()), GB) == pytest.approx(3000 / 86400)
    assert Line(0, 1).at(5) == 5
