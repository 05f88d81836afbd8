"""Which backups and segments belong to a branch, by made-up histories."""

from __future__ import annotations

from itertools import islice

import pytest

from archon_ops.errors import OpsError
from archon_ops.model.pitr.timelines import (
    Ancestor,
    Branch,
    history_name,
    history_of,
    parse_history,
)
from archon_ops.model.pitr.wal import position

MB = 1 << 20
# As PostgreSQL writes it; by hand there may be more white space, and words for whoever reads it.
THIRD = """\
1\t0/5000148\tbefore 2026-11-24 15:00:00.123456+00

# the second recovery
  2 \t 1/A0B00000   at restore point "archon_ops-20261124-150000F"
"""


def test_a_history_of_three_generations() -> None:
    branch = parse_history(3, THIRD)
    assert branch.numbers == (1, 2, 3)
    assert branch.ancestors == (Ancestor(1, 0x5000148), Ancestor(2, 0x1A0B00000))
    assert parse_history(3, THIRD.replace("\n", "\r\n")) == branch


def test_the_first_came_of_nothing() -> None:
    assert parse_history(1, None) == parse_history(1, "") == Branch(1)
    assert parse_history(2, "1\t0/5000148") == Branch(2, (Ancestor(1, 0x5000148),))


@pytest.mark.parametrize(
    "line",
    [
        "1",
        "1\t5000148\tno position",
        "one\t0/5000148\tno number",
        "3\t0/5000148\tof itself",
        "4\t0/5000148\tof one that came later",
        "0\t0/5000148\tof none",
        "1\t0/5000148\tx\n1\t0/6000000\ttwice",
        "2\t0/5000148\tx\n1\t0/6000000\tbackwards",
    ],
)
def test_what_postgresql_would_not_take(line: str) -> None:
    with pytest.raises(OpsError, match=r"00000003\.history holds a line that is none"):
        parse_history(3, line)


def test_its_backups_are_its_own_and_those_that_ended_before_it_forked() -> None:
    third = parse_history(3, THIRD)
    fork = position("0/5000148")
    assert third.holds(3, None)
    assert third.holds(1, fork)
    assert not third.holds(1, fork + 1)
    assert not third.holds(1, None)
    assert third.holds(2, position("1/A0B00000"))
    assert not third.holds(2, position("1/A0B00001"))
    assert not third.holds(4, 1)
    # The old server was put back into service: what was recovered is none of its past.
    first = Branch(1)
    assert first.holds(1, fork + 1)
    assert not first.holds(2, fork + 1)
    assert not first.holds(3, 1)


def test_a_brother_is_no_ancestor() -> None:
    """Two recoveries of the same past: the third knows nothing of the second."""
    third = parse_history(3, "1\t0/4000000\tbefore")
    assert not third.holds(2, 1)
    assert third.numbers == (1, 3)


def test_its_segments_lead_across_the_forks() -> None:
    branch = parse_history(3, "1\t0/5000148\tx\n2\t0/7000000\tx")
    assert list(branch.back_from("000000030000000000000008", 16 * MB)) == [
        "000000030000000000000008",
        "000000030000000000000007",  # forked where one ended: the third began with a new one
        "000000020000000000000006",
        "000000020000000000000005",  # the second's copy, which begins like the first's
        "000000010000000000000004",
        "000000010000000000000003",
        "000000010000000000000002",
        "000000010000000000000001",
    ]
    assert list(branch.parts(16 * MB)) == [(3, 7, None), (2, 5, 7), (1, 0, 5)]
    across = islice(Branch(1).back_from("000000010000000100000000", 64 * MB), 2)
    assert list(across) == ["000000010000000100000000", "00000001000000000000003F"]


def test_of_each_timeline_only_what_lies_between_its_forks_is_read() -> None:
    branch = parse_history(3, "1\t0/5000148\tx\n2\t0/7000000\tx")
    there = [f"{t:08X}00000000{n:08X}" for t, n in ((1, 4), (1, 5), (2, 4), (2, 6), (2, 7), (3, 8))]
    assert branch.own(reversed(there), 16 * MB) == [there[0], there[3], there[5]]
    assert Branch(4).own(there, 16 * MB) == []


def test_files() -> None:
    assert history_name(26) == "0000001A.history"
    assert history_of("0000001A.history") == 26
    assert history_of("0000000100000000") is None
    assert history_of("00000002.history.gz") is None
