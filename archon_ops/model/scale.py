"""What larger installations will take, from what small ones took here: straight lines, and limits.

A line is what these parts follow as long as memory and disks keep up; index builds grow faster than
that, so a projected restore is a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

GB = 10**9
DAY = 86400.0
SOURCES = 1000
SIZES = (100 * GB, 1000 * GB)


@dataclass(frozen=True)
class Trial:
    """One database that was measured here.

    Attributes:
        database_bytes: its size.
        backup_seconds, backup_bytes: of a dump.
        restore_seconds: of that dump, indexes built and statistics gathered.
        proof_seconds: of the fingerprint of all its rows.
        wal_bytes: what changing one row in a hundred wrote to the WAL.
    """

    database_bytes: int
    backup_seconds: float
    backup_bytes: int
    restore_seconds: float
    proof_seconds: float
    wal_bytes: int


@dataclass(frozen=True)
class Line:
    """A value that grows with the size of the database: base + slope x bytes."""

    base: float
    slope: float

    def at(self, size: float) -> float:
        """The value at a size in bytes."""
        return self.base + self.slope * size

    def reaches(self, value: float) -> float | None:
        """The size in bytes at which it reaches a value; None: never."""
        return (value - self.base) / self.slope if self.slope > 0 else None


@dataclass(frozen=True)
class Part:
    """One part of the work, and how far it goes.

    Attributes:
        what: in words.
        unit: "s" or "B".
        line: how it grows.
        limit: what it should not pass, in its unit.
        why: where that limit comes from.
        next: what takes over beyond it.
    """

    what: str
    unit: str
    line: Line
    limit: float
    why: str
    next: str

    @property
    def gives_way(self) -> float | None:
        """The size in bytes from which on it is too much; None: never."""
        return self.line.reaches(self.limit)


def fitted(trials: Sequence[Trial], value: Callable[[Trial], float]) -> Line:
    """The line of least squares; neither base nor slope is ever negative.

    Args:
        trials: at least two, of different sizes.
        value: what is looked at.
    """
    sizes = [float(t.database_bytes) for t in trials]
    values = [float(value(t)) for t in trials]
    middle, mean = sum(sizes) / len(sizes), sum(values) / len(values)
    spread = sum((s - middle) ** 2 for s in sizes)
    if spread == 0:
        raise ValueError("trials of one size tell no line")
    both = zip(sizes, values, strict=True)
    slope = sum((s - middle) * (v - mean) for s, v in both) / spread
    base = mean - slope * middle
    if slope < 0:
        return Line(mean, 0.0)
    if base < 0:  # through the origin then, which no time or size is below
        both = zip(sizes, values, strict=True)
        return Line(0.0, sum(s * v for s, v in both) / sum(s * s for s in sizes))
    return Line(base, slope)


def parts(trials: Sequence[Trial]) -> tuple[Part, ...]:
    """All parts of the work, each with the limit at which something else takes over."""
    return (
        Part(
            "backup (dump)",
            "s",
            fitted(trials, lambda t: t.backup_seconds),
            4 * 3600.0,
            "a night",
            "inv pitr.backup --type incr",
        ),
        Part(
            "restore (dump, indexes built)",
            "s",
            fitted(trials, lambda t: t.restore_seconds),
            600.0,
            "the handbook's ten minutes",
            "inv pitr.restore: files, no index is built",
        ),
        Part(
            "proof (every row)",
            "s",
            fitted(trials, lambda t: t.proof_seconds),
            3600.0,
            "deadlines.proof",
            "a longer deadline; then a proof by partition",
        ),
        Part(
            "WAL of one changed row in a hundred",
            "B",
            fitted(trials, lambda t: t.wal_bytes),
            4 * 2.0**30,
            "pitr.queue_max: an hour without repository",
            "pitr.asynchronous, and a larger queue_max",
        ),
    )


def machines(found: Sequence[Part], size: float, sources: int = SOURCES) -> float:
    """How many cores are busy all day with a daily dump, proven, of so many sources of a size."""
    each = sum(part.line.at(size) for part in found if part.what.startswith(("backup", "proof")))
    return each * sources / DAY
