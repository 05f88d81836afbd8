"""Timelines: the branch that a recovery follows, and what of an archive belongs to it.

A recovered server that takes writes begins a timeline of its own. Where the old one goes on as
well, the archive holds two branches, of which the newer is not always the one that lives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archon_ops.errors import OpsError
from archon_ops.model.pitr.wal import segment_name, segment_number, timeline_of

_FILE = re.compile(r"([0-9A-F]{8})\.history")
# As PostgreSQL reads it: any white space between the fields, and the reason goes to the line's end.
_LINE = re.compile(r"\s*(\d+)\s+([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})(?:\s.*)?")


@dataclass(frozen=True)
class Ancestor:
    """A timeline that another one came of.

    Attributes:
        number: its own.
        end: position in its WAL at which it was left.
    """

    number: int
    end: int


@dataclass(frozen=True)
class Branch:
    """A timeline with all that it came of.

    Attributes:
        number: its own.
        ancestors: oldest first.
    """

    number: int
    ancestors: tuple[Ancestor, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of all its timelines, oldest first."""
        return (*(one.number for one in self.ancestors), self.number)

    def holds(self, timeline: int | None, end: int | None) -> bool:
        """Whether a backup is of this branch.

        Args:
            timeline: that it was taken on; one that is not known is left to PostgreSQL, which
                refuses what does not fit.
            end: position in the WAL that a recovery from it has to reach at least; an ancestor's
                backup of which that is not known may have ended after the fork, and is not taken.
        """
        if timeline in (self.number, None):
            return True
        return any(
            one.number == timeline and end is not None and end <= one.end for one in self.ancestors
        )

    def parts(self, segment_bytes: int) -> Iterator[tuple[int, int, int | None]]:
        """Its timelines, newest first: number, first segment, and the first that is not its own.

        The segment in which it forked belongs to the newer one, whose copy begins like the old.
        """
        begins = [0, *(one.end // segment_bytes for one in self.ancestors)]
        until = None
        for number, begin in zip(reversed(self.numbers), reversed(begins), strict=True):
            yield number, begin, until
            until = begin

    def own(self, segments: Iterable[str], segment_bytes: int) -> list[str]:
        """Those of segments that a recovery along it reads, in the order of the WAL."""
        parts = {n: (begin, until) for n, begin, until in self.parts(segment_bytes)}
        found = {}
        for name in segments:
            begin, until = parts.get(timeline_of(name), (0, 0))
            number = segment_number(name, segment_bytes)
            if begin <= number and (until is None or number < until):
                found[number] = name
        return [found[number] for number in sorted(found)]

    def back_from(self, name: str, segment_bytes: int) -> Iterator[str]:
        """Names of its segments, from one of them back to the first there ever was."""
        parts = tuple(self.parts(segment_bytes))
        for number in range(segment_number(name, segment_bytes), 0, -1):
            timeline = next(timeline for timeline, begin, _ in parts if begin <= number)
            yield segment_name(timeline, number, segment_bytes)


def history_name(timeline: int) -> str:
    """The file that tells what a timeline came of."""
    return f"{timeline:08X}.history"


def history_of(name: str) -> int | None:
    """The timeline whose history a file of that name tells; None where it is another file."""
    found = _FILE.fullmatch(name)
    return int(found[1], 16) if found else None


def parse_history(timeline: int, text: str | None) -> Branch:
    """Read the history of a timeline.

    Args:
        timeline: its number.
        text: the file's; None where there is none, as of the first timeline: it came of nothing.

    Raises:
        OpsError: it is none that PostgreSQL would take.
    """
    ancestors: list[Ancestor] = []
    for line in (text or "").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        last = ancestors[-1].number if ancestors else 0
        if not found or not last < int(found[1]) < timeline:
            raise OpsError(f"{history_name(timeline)} holds a line that is none: {line.strip()!r}")
        ancestors.append(Ancestor(int(found[1]), int(found[2], 16) << 32 | int(found[3], 16)))
    return Branch(timeline, tuple(ancestors))
