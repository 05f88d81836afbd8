from __future__ import annotations

from datetime import UTC, datetime, timedelta

from archon_ops.model.pitr.gaps import Gap, Hole, archived_segments, dropped, gaps
from archon_ops.model.pitr.timelines import Ancestor, Branch

SIZE = 16 << 20
NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


def names(timeline: int, *numbers: int) -> list[str]:
    return [f"{timeline:08X}{number // 256:08X}{number % 256:08X}" for number in numbers]


def test_what_is_missing_in_between() -> None:
    there = names(1, 254, 255, 256, 259, 260)
    (found,) = gaps(there, SIZE)
    assert [found.before, found.after] == names(1, 256, 259)
    assert found.text == f"WAL is missing between {found.before} and {found.after}"
    assert gaps(names(1, 3, 4, 5), SIZE) == ()
    assert gaps([], SIZE) == ()


def test_segments_of_another_size() -> None:
    # Of 64 MB there are 64 in what 32 bits address.
    there = ["00000001000000000000003F", "000000010000000100000000"]
    assert gaps(there, 64 << 20) == ()
    assert len(gaps(there, SIZE)) == 1


def test_an_older_timeline_counts_until_the_next_one_began() -> None:
    second = Branch(2, (Ancestor(1, 5 * SIZE + 7),))
    assert gaps(second.own([*names(1, 3, 4, 5, 8), *names(2, 5, 6, 7)], SIZE), SIZE) == ()
    (found,) = gaps(second.own([*names(1, 3, 4), *names(2, 7)], SIZE), SIZE)
    assert [found.before, found.after] == [*names(1, 4), *names(2, 7)]
    # The first went on, and the second has a hole that is none of its.
    there = [*names(1, 3, 4, 5, 6), *names(2, 5, 9)]
    assert gaps(Branch(1).own(there, SIZE), SIZE) == ()
    # One that the third timeline left behind.
    third = Branch(3, (Ancestor(1, 4 * SIZE + 7),))
    assert gaps(third.own([*names(1, 3, 4), *names(2, 5, 9), *names(3, 4, 5)], SIZE), SIZE) == ()


def test_what_the_server_takes_for_archived_has_to_be_there() -> None:
    (two, three) = names(1, 2, 3)
    assert dropped(three, two) == Gap(two, "")
    assert dropped(two, three) is None
    assert dropped(three, three) is None
    assert dropped("00000002.history", two) is None
    assert dropped(None, two) is None
    assert dropped(*names(1, 2), *names(2, 3)) is None


def test_a_hole_begins_with_the_last_commit_before_it() -> None:
    second = timedelta(seconds=1)
    hole = Hole(Gap("a", "b"), NOW, NOW + 60 * second)
    assert not hole.holds(NOW - second)
    assert hole.holds(NOW)
    assert hole.holds(NOW + 59 * second)
    assert not hole.holds(NOW + 60 * second)
    assert Hole(Gap("a", ""), NOW, None).holds(NOW + timedelta(days=9))


def test_whole_segments_of_a_listing() -> None:
    listed = """0000000100000000
0000000100000000/000000010000000000000003-9c1eb5a3f6c5bd8d4bd7b4ed1bbdb5a6f9d60c2f.zst
0000000100000000/000000010000000000000004.00000028.backup
0000000100000000/000000010000000000000005.partial-9c1eb5a3f6c5bd8d4bd7b4ed1bbdb5a6f9d60c2f.zst
00000002.history
"""
    assert archived_segments(listed) == frozenset(names(1, 3))
