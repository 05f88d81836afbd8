from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

from archon_ops.model.history import Point
from archon_ops.storage import points
from archon_ops.storage.directory import Directory


def point(size: int) -> Point:
    return Point(datetime(2026, 1, 1, tzinfo=UTC), "1", "postgres", size, (), {"public.a": 1})


def test_points_come_back_as_they_were_in_a_file_of_our_own(tmp_path: Path) -> None:
    directory = Directory(tmp_path)

    points.append(directory, point(1))
    points.append(directory, point(2))

    assert points.read(directory) == ((point(1), point(2)), 0)
    assert stat.S_IMODE(points.points_path(directory).stat().st_mode) == 0o600


def test_a_line_that_was_cut_off_spoils_neither_its_neighbours_nor_the_next(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    points.append(directory, point(1))
    points.append(directory, point(2))
    path = points.points_path(directory)
    path.write_bytes(path.read_bytes()[:-20])

    points.append(directory, point(3))

    assert points.read(directory) == ((point(1), point(3)), 1)


def test_where_nothing_was_kept_there_is_nothing(tmp_path: Path) -> None:
    assert points.read(Directory(tmp_path)) == ((), 0)
