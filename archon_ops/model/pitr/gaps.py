"""WAL that is missing in an archive, and the moments that cannot be restored because of it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from archon_ops.model.pitr.wal import is_segment, segment_number

_ARCHIVED = re.compile(r"\b([0-9A-F]{24})-[0-9a-f]{40}")


_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Gap:
    """Segments that are missing.

    Attributes:
        before: the last segment that is there before them.
        after: the first that is there behind them; empty where none is there yet.
    """

    before: str
    after: str

    @property
    def text(self) -> str:
        """In a few words."""
        if not self.after:
            return f"WAL after {self.before} was dropped, and is in no repository"
        return f"WAL is missing between {self.before} and {self.after}"


@dataclass(frozen=True)
class Hole:
    """Moments that cannot be restored.

    Attributes:
        gap: the WAL that is missing.
        since: UTC time of the last commit before it, else of what surely came before; None where
            there is nothing.
        until: when the first backup behind it ended; None where there is none yet.
    """

    gap: Gap
    since: datetime | None
    until: datetime | None

    @property
    def last_before(self) -> datetime | None:
        """The last moment before it that can be restored."""
        # A recovery stops at a commit behind its moment: the last one itself has none.
        return self.since - _TICK if self.since else None

    def holds(self, moment: datetime) -> bool:
        """Whether a moment is one of them."""
        after = self.last_before is None or moment > self.last_before
        return after and (self.until is None or moment < self.until)


def dropped(archived: str | None, last: str | None) -> Gap | None:
    """What the server takes for archived, and no repository has.

    Args:
        archived: the last segment, as the server counts; looked up before `last` was.
        last: the last that is in a repository.
    """
    if archived is None or last is None or not is_segment(archived):
        return None
    return Gap(last, "") if archived[8:] > last[8:] else None


def archived_segments(text: str) -> frozenset[str]:
    """Names of the whole segments that `pgbackrest repo-ls` of an archive shows."""
    return frozenset(_ARCHIVED.findall(text))


def gaps(segments: Iterable[str], segment_bytes: int) -> tuple[Gap, ...]:
    """What is missing for a recovery along a branch.

    Args:
        segments: names of all of the branch that are there, in the order of the WAL.
        segment_bytes: size of each.
    """
    return tuple(
        Gap(before, after)
        for before, after in itertools.pairwise(segments)
        if segment_number(after, segment_bytes) > segment_number(before, segment_bytes) + 1
    )
