"""What synthetic databases of several sizes taught about backups and restores of larger ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from archon_ops.model.growth import Line, Rates
from archon_ops.model.history import Point

# A database that changed by less since its backup is the one that was backed up.
_SAME = 0.1


@dataclass(frozen=True)
class Trial:
    """One synthetic database.

    Attributes:
        factor: its rows as a multiple of the live database's.
        rows: its rows.
        database_bytes: its size.
        backup_bytes: size of its dump.
        backup_seconds: time of the dump.
        restore_seconds: time of a restore, indexes and statistics included.
    """

    factor: float
    rows: int
    database_bytes: int
    backup_bytes: int
    backup_seconds: float
    restore_seconds: float


@dataclass(frozen=True)
class Calibration:
    """All trials, and what they were made after.

    Attributes:
        at: UTC time.
        system_identifier, database: the live database.
        database_bytes: its size then.
        backup_bytes: size of a backup of it as it was then; None without a recent one.
        codec: compression of the dumps.
        trials: smallest first.
        left_out: what the synthetic databases lack, one line each.
    """

    at: datetime
    system_identifier: str
    database: str
    database_bytes: int
    backup_bytes: int | None
    codec: str
    trials: tuple[Trial, ...]
    left_out: tuple[str, ...]

    @property
    def identity(self) -> tuple[str, str]:
        """Which database it speaks of."""
        return self.system_identifier, self.database

    @property
    def compressed(self) -> float:
        """How much larger live rows are in a backup than synthetic ones of the same length."""
        if self.backup_bytes is None:
            return 1.0
        sizes = [trial.backup_bytes for trial in self.trials]
        slope, fixed = np.polyfit([trial.factor for trial in self.trials], sizes, 1)
        synthetic = float(fixed + slope)  # as if it had the live rows once
        return self.backup_bytes / synthetic if synthetic > 0 else 1.0


def recent_backup(newest: Point | None, database_bytes: int) -> int | None:
    """Size of the newest backup, where the database is still about what it was then."""
    if newest is None or not newest.database_bytes:
        return None
    changed = abs(database_bytes / newest.database_bytes - 1)
    return newest.backup_bytes if changed < _SAME else None


def factors(archon_bytes: int, most_bytes: int) -> tuple[float, ...]:
    """Multiples of the live rows to try: up to four times, within a limit.

    Args:
        archon_bytes: what Archon's tables take now.
        most_bytes: what the largest synthetic database may take.
    """
    largest = min(4.0, most_bytes / max(archon_bytes, 1))
    return largest / 4, largest / 2, largest


def calibrated(calibration: Calibration, measured: Rates, newest: Point | None) -> Rates:
    """Rates with the slopes of the trials, through what was measured on the live database.

    Args:
        calibration: the trials.
        measured: rates of the live database's own backups and restores.
        newest: its newest point with a backup; None without one.
    """
    here = newest.database_bytes if newest else None
    backup = newest.backup_bytes if newest else None
    trials, dense = calibration.trials, calibration.compressed
    return Rates(
        _through(_fit(trials, lambda t: t.backup_bytes * dense), here, backup),
        _scaled(_fit(trials, lambda t: t.backup_seconds), measured.backup_seconds, here),
        _scaled(_fit(trials, lambda t: t.restore_seconds), measured.recovery_seconds, here),
        f"calibrated {calibration.at:%Y-%m-%d} on {len(trials)} synthetic databases",
    )


def _fit(trials: Sequence[Trial], value: Callable[[Trial], float]) -> Line:
    """The straight line through the trials; it never falls."""
    slope, fixed = np.polyfit([t.database_bytes for t in trials], [value(t) for t in trials], 1)
    if slope < 0:  # noise: the largest stands for all
        return Line(0.0, value(trials[-1]) / trials[-1].database_bytes)
    return Line(float(fixed), float(slope))


def _through(line: Line, here: int | None, measured: float | None) -> Line:
    """The same slope through what was measured: neighbours and schema stay what they are."""
    if here is None or measured is None:
        return line
    return replace(line, fixed=measured - line.slope * here)


def _scaled(line: Line, measured: Line | None, here: int | None) -> Line:
    """The same shape, as fast as this installation was measured to be."""
    if measured is None or here is None or line.at(here) <= 0:
        return line
    factor = measured.at(here) / line.at(here)
    return Line(line.fixed * factor, line.slope * factor, measured.low, measured.high)
