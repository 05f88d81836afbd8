"""A search for the commit with which rows disappeared, by looking at one moment after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from archon_ops.model.pitr.gaps import Hole
from archon_ops.model.pitr.recovery import Stopped

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Probe:
    """What a look at a moment saw.

    Attributes:
        at: UTC.
        rows: how many of the rows were there.
        stopped: the commits right before and right after.
    """

    at: datetime
    rows: int
    stopped: Stopped

    @property
    def first_unseen(self) -> datetime:
        """When the first commit happened that was not there yet, at the earliest."""
        return self.stopped.next_commit or self.at

    @property
    def last_seen(self) -> datetime:
        """When the last commit happened that was there, at the latest."""
        return self.stopped.last_commit or self.at


@dataclass(frozen=True)
class Vanished:
    """How rows disappeared.

    Attributes:
        at: UTC time of the commit.
        transaction: its number; None where several commits are possible.
        rows_before, rows_after: how many there were.
        before: the last moment at which all was as before.
    """

    at: datetime
    transaction: int | None
    rows_before: int
    rows_after: int
    before: datetime


def between(good: Probe, gone: Probe) -> datetime | None:
    """The next moment to look at; None where one commit alone is left.

    Args:
        good: the latest look that saw the rows.
        gone: the earliest that did not.
    """
    first, last = good.first_unseen, gone.last_seen
    if first >= last:
        return None
    # It shows at least the first of the commits in between, and hides at least the last.
    return first + (last - first) // 2


def beside(good: Probe, gone: Probe, hole: Hole) -> datetime | None:
    """The next moment to look at where WAL is missing in the middle; None where none is left.

    Args:
        good: the latest look that saw the rows.
        gone: the earliest that did not.
        hole: the moments that nobody can look at.
    """
    behind, before = hole.until, hole.last_before
    # Each is worth a look as long as that tells more than is known.
    if behind and good.at < behind < gone.at and behind < gone.last_seen:
        return behind
    if before and good.at < before < gone.at and good.first_unseen <= before:
        return before
    return None


def vanished(good: Probe, gone: Probe) -> Vanished:
    """What is known once no moment is left between two looks."""
    exact = good.stopped.next_commit is not None and good.first_unseen >= gone.last_seen
    at = good.first_unseen if exact else gone.last_seen
    return Vanished(
        at=at,
        transaction=good.stopped.next_transaction if exact else None,
        rows_before=good.rows,
        rows_after=gone.rows,
        before=(at if exact else good.first_unseen) - _TICK,
    )


def fractions(count: int) -> Iterator[float]:
    """Places between two ends, spread ever more finely: a half, a quarter, three quarters."""
    parts = 2
    while count > 0:
        for part in range(1, parts, 2):
            if count > 0:
                yield part / parts
            count -= 1
        parts *= 2
