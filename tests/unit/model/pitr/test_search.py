"""The search for a commit, played through without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.model.pitr.gaps import Gap, Hole
from archon_ops.model.pitr.recovery import Stopped
from archon_ops.model.pitr.search import Probe, beside, between, fractions, vanished

BEGIN = datetime(2026, 11, 24, tzinfo=UTC)


def _look(commits: list[datetime], at: datetime, gone: int) -> Probe:
    """What a recovery to a moment sees, where commit number `gone` deleted three rows."""
    seen = [commit for commit in commits if commit <= at]
    unseen = commits[len(seen) :]
    stopped = Stopped(
        seen[-1] if seen else None,
        unseen[0] if unseen else None,
        100 + len(seen) if unseen else None,
    )
    return Probe(at, 0 if len(seen) > gone else 3, stopped)


@pytest.mark.parametrize("gone", [0, 1, 377, 998, 999])
def test_the_one_commit_is_found_in_few_looks(gone: int) -> None:
    commits = [BEGIN + timedelta(seconds=i * i % 7919, microseconds=i) for i in range(1000)]
    commits.sort()
    good = _look(commits, BEGIN - timedelta(seconds=1), gone)
    bad = _look(commits, commits[-1], gone)
    looks = 0
    while (middle := between(good, bad)) is not None:
        probe = _look(commits, middle, gone)
        good, bad = (probe, bad) if probe.rows else (good, probe)
        looks += 1
        assert looks < 40
    found = vanished(good, bad)
    assert found.at == commits[gone]
    assert found.transaction == 100 + gone
    assert (found.rows_before, found.rows_after) == (3, 0)
    assert _look(commits, found.before, gone).rows == 3


HOLE = Hole(Gap("1", "3"), BEGIN + timedelta(seconds=300), BEGIN + timedelta(seconds=700))


@pytest.mark.parametrize("gone", [0, 299, 300, 301, 500, 699, 700, 701, 999])
def test_around_missing_wal_both_sides_are_looked_at(gone: int) -> None:
    commits = [BEGIN + timedelta(seconds=number) for number in range(1000)]
    good = _look(commits, BEGIN - timedelta(seconds=1), gone)
    bad = _look(commits, commits[-1], gone)
    looks = 0
    while (middle := between(good, bad)) is not None:
        if HOLE.holds(middle) and (middle := beside(good, bad, HOLE)) is None:
            break
        assert not HOLE.holds(middle)
        probe = _look(commits, middle, gone)
        good, bad = (probe, bad) if probe.rows else (good, probe)
        looks += 1
        assert looks < 40
    found = vanished(good, bad)
    if 300 <= gone <= 700:  # in the hole, or with one of the commits at its ends
        assert found.transaction is None
        assert found.before < commits[gone] <= found.at
    else:
        assert (found.at, found.transaction) == (commits[gone], 100 + gone)


def test_without_the_next_commit_a_moment_is_all_that_is_known() -> None:
    good = Probe(BEGIN, 3, Stopped(BEGIN))
    bad = Probe(BEGIN, 0, Stopped(BEGIN))
    found = vanished(good, bad)
    assert found.transaction is None
    assert found.before < BEGIN


def test_looks_are_spread_ever_more_finely() -> None:
    assert list(fractions(5)) == [0.5, 0.25, 0.75, 0.125, 0.375]
