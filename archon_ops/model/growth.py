"""Where sizes and times are heading, and what falls due when."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from archon_ops.model.history import DAY_SECONDS, History, Point
from archon_ops.model.policy import Policy
from archon_ops.model.projection import Band, Projection, project

GB = 1 << 30
PAGE_BYTES = 8192
# So far ahead dates are looked for; a band that wide says "not foreseeable" by itself.
FORESEEN_DAYS = 5 * 365
_TIMES = 60
# A rate is taken from so many of the newest measurements.
_RECENT = 20


@dataclass(frozen=True)
class Line:
    """Something that grows with the database: fixed + slope * bytes of the database.

    Attributes:
        fixed: what an empty database takes, in bytes or seconds.
        slope: for each byte of the database.
        low, high: how far measurements lay off the line, as factors.
    """

    fixed: float
    slope: float
    low: float = 1.0
    high: float = 1.0

    def at(self, database_bytes: float) -> float:
        """Its value for a database of this size; 0 for one that is smaller than it can be."""
        return max(self.fixed + self.slope * database_bytes, 0.0)

    def band(self, band: Band) -> Band:
        """Its values along a band of the database's size."""
        low, middle, high = map(self.at, (band.low, band.middle, band.high))
        return Band(band.ahead, low * self.low, middle, high * self.high)


@dataclass(frozen=True)
class Rates:
    """What a backup takes and how long, as measured; None where nothing was measured.

    Attributes:
        backup_bytes: size of a backup.
        backup_seconds: time of a backup.
        recovery_seconds: time of a restore with its proof.
        basis: what they rest on, for people.
    """

    backup_bytes: Line | None
    backup_seconds: Line | None
    recovery_seconds: Line | None
    basis: str


@dataclass(frozen=True)
class Curve:
    """A quantity over time.

    Attributes:
        name: what it is.
        unit: "bytes" or "seconds".
        now: its newest value.
        past: (time, value), oldest first; empty where it has no history of its own.
        bands: its projection, days after the newest point.
    """

    name: str
    unit: str
    now: float
    past: tuple[tuple[datetime, float], ...]
    bands: tuple[Band, ...]

    def in_days(self, days: float) -> Band:
        """The band at a time, between those that were computed."""
        before = max(
            (b for b in self.bands if b.ahead <= days), key=lambda b: b.ahead, default=None
        )
        after = min((b for b in self.bands if b.ahead > days), key=lambda b: b.ahead, default=None)
        if before is None or after is None:
            return replace(before or after or Band(days, self.now, self.now, self.now), ahead=days)
        part = (days - before.ahead) / (after.ahead - before.ahead)
        edges = (
            getattr(before, edge) + part * (getattr(after, edge) - getattr(before, edge))
            for edge in ("low", "middle", "high")
        )
        return Band(days, *edges)


@dataclass(frozen=True)
class Marked:
    """A jump or a shrink of the database: when it was first seen, and its bytes."""

    at: datetime
    bytes: float


@dataclass(frozen=True)
class Growth:
    """Everything that is projected.

    Attributes:
        since: time of the newest point; bands count from it.
        projection: of the database's size.
        curves: by name: database, backup, local storage, offsite storage, and where measured
            backup time and recovery time.
        marked: jumps and shrinks of the database.
        kept: how many backups the retention keeps, at most.
        rates: what a backup takes.
    """

    since: datetime
    projection: Projection
    curves: dict[str, Curve]
    marked: tuple[Marked, ...]
    kept: int
    rates: Rates

    @property
    def label(self) -> str:
        """What to know of the band: "little history", or empty."""
        return "little history" if self.projection.little else ""

    def date(self, ahead: float) -> datetime:
        """The time so many days after the newest point."""
        return self.since + timedelta(days=ahead)


def kept_backups(policy: Policy, labelled: int, safety: int) -> int:
    """How many backups a policy keeps at most.

    Args:
        policy: the policy.
        labelled: how many with a label there are; they are counted apart.
        safety: how many safety ones there are.
    """
    calendar = policy.daily + policy.weekly + policy.monthly + policy.yearly
    most = labelled if policy.label_last is None else min(labelled, policy.label_last)
    return policy.last + calendar + most + min(safety, policy.safety_last)


def measured_rates(history: History, recoveries: Sequence[tuple[int, float]]) -> Rates:
    """Rates of the newest backups and restores, proportional to the database.

    Args:
        history: with its backups.
        recoveries: (bytes of the database, seconds) of restores, newest first.
    """
    taken = [p for p in history.points if p.backup_bytes and p.database_bytes][-_RECENT:]
    sizes = [(p.database_bytes, float(p.backup_bytes or 0)) for p in taken]
    times = [(p.database_bytes, p.backup_seconds) for p in taken if p.backup_seconds]
    restores = [(size, seconds) for size, seconds in recoveries if size][:_RECENT]
    basis = f"{len(taken)} backups, {len(restores)} restores"
    return Rates(_proportional(sizes), _proportional(times), _proportional(restores), basis)


def _proportional(pairs: Sequence[tuple[int, float]]) -> Line | None:
    if not pairs:
        return None
    rates = [value / size for size, value in pairs]
    middle = statistics.median(rates)
    if not middle:
        return None
    return Line(0.0, middle, min(rates) / middle, max(rates) / middle)


def grow(history: History, rates: Rates, kept: int) -> Growth:
    """Project everything.

    Args:
        history: of the database.
        rates: what a backup takes.
        kept: how many backups are kept.

    Raises:
        PreconditionError: the history is too short.
    """
    values = [float(p.database_bytes) for p in history.points]
    ahead = _times(history.days)
    projection = project(history.days, values, ahead, resolution=PAGE_BYTES)
    points = history.points
    past = tuple((p.at, float(p.database_bytes)) for p in points)
    database = Curve("database", "bytes", values[-1], past, projection.bands)
    curves = {"database": database}
    if rates.backup_bytes is not None:
        backup = _backup_curve(points, rates.backup_bytes, database)
        curves |= {"backup": backup, **_storage(backup, kept)}
    for name, line in (
        ("backup time", rates.backup_seconds),
        ("recovery time", rates.recovery_seconds),
    ):
        if line is not None:
            curves[name] = _along(name, "seconds", line, database)
    marked = tuple(Marked(points[jump.index].at, jump.size) for jump in projection.jumps)
    return Growth(points[-1].at, projection, curves, marked, kept, rates)


def _times(days: Sequence[float]) -> list[float]:
    """From a step of the history to years, ever wider apart."""
    first = max((days[-1] - days[0]) / max(len(days) - 1, 1), 1 / 24) if days else 1.0
    factor = (FORESEEN_DAYS / first) ** (1 / (_TIMES - 1))
    return [first * factor**i for i in range(_TIMES)]


def _backup_curve(points: Sequence[Point], line: Line, database: Curve) -> Curve:
    past = tuple((p.at, float(p.backup_bytes)) for p in points if p.backup_bytes is not None)
    curve = _along("backup", "bytes", line, database)
    return replace(curve, now=past[-1][1] if past else curve.now, past=past)


def _along(name: str, unit: str, line: Line, database: Curve) -> Curve:
    bands = tuple(map(line.band, database.bands))
    return Curve(name, unit, line.at(database.now), (), bands)


def _storage(backup: Curve, kept: int) -> dict[str, Curve]:
    bands = tuple(Band(b.ahead, kept * b.low, kept * b.middle, kept * b.high) for b in backup.bands)
    names = ("local storage", "offsite storage")
    return {name: Curve(name, "bytes", kept * backup.now, (), bands) for name in names}


def interval_of(history: History) -> timedelta | None:
    """How far apart the newest backups lie, as a rule; None with less than two."""
    times = [p.at for p in history.points if p.backup is not None][-_RECENT:]
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
    return timedelta(seconds=statistics.median(gaps)) if gaps else None


def unchanged(history: History) -> tuple[int, int]:
    """How many backups hold exactly what the one before held, and of how many that is known."""
    contents = [p.content for p in history.points if p.content is not None]
    pairs = list(itertools.pairwise(contents))
    return sum(a == b for a, b in pairs), len(pairs)


def change_per_interval(history: History) -> float:
    """Share of the database by which its size changes from one point to the next, as a rule."""
    values = [p.database_bytes for p in history.points][-_RECENT:]
    shares = [abs(b - a) / a for a, b in itertools.pairwise(values) if a]
    return statistics.median(shares) if shares else 0.0


def days_of(span: timedelta) -> float:
    """A span in days."""
    return span.total_seconds() / DAY_SECONDS


def finite(value: float) -> float | None:
    """A number that JSON knows, else None."""
    return value if math.isfinite(value) else None
