"""Where a recovery goes when the repository alone decides, on one branch of two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.actions.pitr.aim import OutsideError, aim_at_point, aim_without, newest
from archon_ops.actions.pitr.point import point_name
from archon_ops.errors import PreconditionError
from archon_ops.model.pitr.labels import Label
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.pitr.timelines import Ancestor, Branch

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def label(name: str, hours_ago: int, *, timeline: int, end: int) -> Label:
    at, wal = NOW - hours_ago * HOUR, f"{timeline:08X}0000000000000003"
    return Label(name, "full", 1, at, at, 9, 9, 9, None, (), wal, wal, end=end)


# One from before the fork, one of the server that was put back, one of what was recovered.
STOCK = Stock(
    "archon",
    (
        label("old", 9, timeline=1, end=10),
        label("live", 5, timeline=1, end=30),
        label("dead", 3, timeline=2, end=30),
    ),
    "000000020000000000000003",
    {},
)
LIVE, DEAD = STOCK.on(Branch(1)), STOCK.on(Branch(2, (Ancestor(1, 20),)))


def test_it_begins_with_the_newest_backup_of_the_branch() -> None:
    for stock, begun_with in ((LIVE, "live"), (DEAD, "dead")):
        aim = aim_without(stock, None)
        assert (aim.label.name, aim.timeline) == (begun_with, stock.timeline)
        assert f"--target-timeline={stock.timeline}" in aim.stop.arguments
    aim = aim_without(DEAD, NOW - 4 * HOUR)  # when only the other branch had a newer one
    assert (aim.label.name, aim.timeline) == ("old", 2)


def test_a_point_of_another_branch_is_not_looked_for_in_vain() -> None:
    aim = aim_at_point(LIVE, point_name("live"))
    assert (aim.label.name, aim.timeline) == ("live", 1)
    with pytest.raises(PreconditionError, match="is of timeline 2, and 1 is followed") as refused:
        aim_at_point(LIVE, point_name("dead"))
    assert refused.value.hint == "--timeline 2"
    assert aim_at_point(LIVE, "anybody's").label.name == "old"  # it may be anywhere


def test_the_window_that_is_told_is_that_of_the_branch() -> None:
    fork = STOCK.on(Branch(2))
    with pytest.raises(OutsideError, match="the window of timeline 2 is from 2026-11-24T12:00:01Z"):
        aim_without(fork, NOW - 4 * HOUR)
    with pytest.raises(PreconditionError, match="no sound backup of archon on timeline 4"):
        newest(STOCK.on(Branch(4)))
