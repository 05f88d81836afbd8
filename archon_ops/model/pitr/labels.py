"""One backup of pgBackRest's, and the times that can be restored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from archon_ops.model.pitr.gaps import Hole
from archon_ops.model.pitr.wal import timeline_of


@dataclass(frozen=True)
class Label:
    """One backup of pgBackRest's.

    Attributes:
        name: as pgBackRest calls it ("20261124-150000F_20261124-160000I").
        kind: full, diff or incr.
        repository: number of the repository that it lies in.
        started_at, stopped_at: UTC, in whole seconds, cut off.
        database_bytes: size of the cluster.
        copied_bytes: of that what was read anew for this backup.
        stored_bytes: what this backup itself takes in the repository.
        prior: the one that it builds on; None of a full one.
        reference: all those that a restore of it reads.
        wal_start, wal_stop: segments that make it consistent.
        damaged: whether pages with wrong checksums were found in it.
        annotations: what we wrote beside it.
        end: position in the WAL from which on it is consistent; None where it is not told.
        older: whether it is of the server before an upgrade, which the one of now cannot run.
    """

    name: str
    kind: str
    repository: int
    started_at: datetime
    stopped_at: datetime
    database_bytes: int
    copied_bytes: int
    stored_bytes: int
    prior: str | None
    reference: tuple[str, ...]
    wal_start: str
    wal_stop: str
    damaged: bool = False
    annotations: dict[str, str] = field(default_factory=dict)
    end: int | None = None
    older: bool = False

    @property
    def usable(self) -> bool:
        """Whether a recovery may begin with it."""
        return not self.damaged and not self.older

    @property
    def timeline(self) -> int | None:
        """The one that it was taken on; None where it names no WAL."""
        return timeline_of(self.wal_stop) if self.wal_stop else None

    @property
    def usable_from(self) -> datetime:
        """The first moment that a recovery from it can surely end at: it stopped before that."""
        return self.stopped_at + timedelta(seconds=1)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.stopped_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class Window:
    """The times that can be restored.

    Attributes:
        earliest: the end of the oldest sound backup; None where there is none.
        latest: the last commit whose WAL is archived; None where it is not known.
        holes: moments in between that cannot be restored, because WAL is missing.
        timeline: the one that they are of; None where there is no other.
    """

    earliest: datetime | None
    latest: datetime | None
    holes: tuple[Hole, ...] = ()
    timeline: int | None = None

    @property
    def broken(self) -> Hole | None:
        """The hole that no backup has ended yet."""
        return next((hole for hole in self.holes if hole.until is None), None)

    def hole_at(self, moment: datetime) -> Hole | None:
        """The hole that a moment lies in; None where it lies in none."""
        return next((hole for hole in self.holes if hole.holds(moment)), None)

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies within it."""
        return (
            self.earliest is not None
            and self.latest is not None
            and self.earliest <= moment <= self.latest
            and self.hole_at(moment) is None
        )
