from __future__ import annotations

from datetime import UTC, datetime, timedelta

from archon_ops.model.backup import TableSize
from archon_ops.model.history import Point, changes, history

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def point(days_ago: float, size: int, *, server: str = "1", backup: str | None = None) -> Point:
    table = TableSize("public", "archon_tasks", size, 0, 0, size)
    at = NOW - timedelta(days=days_ago)
    return Point(at, server, "postgres", 10 * size, (table,), {}, backup, size if backup else None)


def test_points_of_another_server_are_left_out_and_told() -> None:
    past = history([point(3, 1, server="other"), point(2, 2), point(1, 3)], NOW)

    assert [p.archon_bytes for p in past.points] == [2, 3]
    assert past.notes == ("1 point left out, of another server or database",)


def test_the_database_that_is_asked_for_wins_over_the_newest_point() -> None:
    past = history([point(3, 1, server="old"), point(1, 3)], NOW, ("old", "postgres"))

    assert [p.archon_bytes for p in past.points] == [1]


def test_a_point_from_the_future_counts_nowhere() -> None:
    past = history([point(-30, 9, server="wrong clock"), point(1, 3)], NOW)

    assert [p.archon_bytes for p in past.points] == [3]
    assert past.notes == ("1 point left out, dated in the future: a clock was wrong",)


def test_what_stands_in_manifest_and_kept_points_counts_once_and_with_its_backup() -> None:
    past = history([point(1, 3), point(1, 3, backup="x.dump"), point(1, 3, backup="x.dump")], NOW)

    assert [p.backup for p in past.points] == ["x.dump"]


def test_changes_are_counted_from_the_newest_point_that_is_old_enough() -> None:
    past = history([point(40, 1), point(8, 2), point(7, 4), point(1, 8)], NOW)

    last, week, month = changes(past, point(0, 5))

    assert (last.archon_bytes, week.archon_bytes, month.archon_bytes) == (-3, 1, 4)
    assert week.at == NOW - timedelta(days=7)
    assert last.tables == {"public.archon_tasks": -3}


def test_a_history_that_begins_later_says_so() -> None:
    last, week, _ = changes(history([point(1, 8)], NOW), point(0, 5))

    assert last.at is not None
    assert (week.at, week.archon_bytes) == (None, None)
