"""How worrying the age of the newest backup is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from archon_ops.errors import ExitCode, UsageError
from archon_ops.model.backup import Backup, Trust
from archon_ops.model.catalog import Catalog, age_hours
from archon_ops.model.runs import RunRecord, failing, last_failure, last_pushes
from archon_ops.model.units import zulu


class Level(StrEnum):
    """Levels of health, from good to bad; `severity` orders them."""

    HEALTHY = "healthy"
    AGING = "aging"
    OUTDATED = "outdated"
    CRITICAL = "critical"
    MISSING = "missing"

    @property
    def severity(self) -> int:
        """0 for healthy, rising."""
        return list(Level).index(self)


_UNMANAGED = (
    "it has no manifest: it is judged by its age alone, nothing of its content can be proven"
)
_WORDS = {
    Level.HEALTHY: "fresh",
    Level.AGING: "aging",
    Level.OUTDATED: "outdated",
    Level.CRITICAL: "critically old",
}


@dataclass(frozen=True)
class Thresholds:
    """Ages in hours at which a level begins.

    Attributes:
        aging, outdated, critical: hours.
        basis: where they come from, for people.

    Raises:
        UsageError: they are not rising, positive numbers.
    """

    aging: float = 6.0
    outdated: float = 24.0
    critical: float = 48.0
    basis: str = "the defaults"

    def __post_init__(self) -> None:
        values = (self.aging, self.outdated, self.critical)
        if not all(map(math.isfinite, values)) or not 0 < values[0] <= values[1] <= values[2]:
            raise UsageError(
                f"health thresholds {values} are not rising, positive hours",
                "aging <= outdated <= critical, for example 6, 24, 48",
            )


def following(interval: timedelta, schedule: str) -> Thresholds:
    """The thresholds of backups that are taken every so often.

    One that is late by a quarter is aging; when one, then two, were left out it is worse.

    Args:
        interval: the longest time between two backups.
        schedule: its entry, for people.
    """
    hours = interval.total_seconds() / 3600
    return Thresholds(1.25 * hours, 2.25 * hours, 3.25 * hours, f"the schedule {schedule!r}")


@dataclass(frozen=True)
class Health:
    """The verdict: a level, a message in the document's words, the age, and what else to know."""

    level: Level
    message: str
    age_hours: float | None
    reasons: tuple[str, ...] = ()

    def because(self, *reasons: str) -> Health:
        """The same with more to know."""
        return replace(self, reasons=(*self.reasons, *reasons))


def assess(age_hours: float | None, thresholds: Thresholds) -> Health:
    """Judge an age in hours; None means that there is no backup."""
    if age_hours is None:
        return Health(Level.MISSING, "No backups found", None)
    reasons: tuple[str, ...] = ()
    if age_hours < 0:
        ahead = f"{-age_hours:.1f}h"
        reasons = (f"its time lies {ahead} in the future: one of the two clocks is wrong",)
    age = max(age_hours, 0.0)
    level = _level(age, thresholds)
    return Health(level, f"Backup is {_WORDS[level]} ({age:.1f}h old)", age, reasons)


def assess_catalog(
    catalog: Catalog,
    thresholds: Thresholds,
    now: datetime,
    records: Iterable[RunRecord] = (),
) -> Health:
    """Judge what a status speaks of; age never hides that the newest backup is not sound.

    Args:
        catalog: the backups.
        thresholds: ages at which levels begin.
        now: UTC time that ages are counted to.
        records: of earlier runs; that the last backup failed is a reason to be named.
    """
    subject = catalog.subject()
    health = assess(None if subject is None else age_hours(subject, now), thresholds)
    if subject is not None:
        health = _with_trust(health, subject)
    told = tuple(records)
    return _with_copies(health.because(*_failed(told)), told)


def _with_trust(health: Health, subject: Backup) -> Health:
    age = f"({health.age_hours:.1f}h old)"
    if subject.trust is Trust.FAILED:
        reasons = (*health.reasons, *subject.problems)
        return Health(Level.CRITICAL, f"Backup is damaged {age}", health.age_hours, reasons)
    if subject.trust is Trust.UNMANAGED:
        return health.because(_UNMANAGED)
    if subject.verify_problem:
        # What a check found is lost, and that may have been damage.
        reasons = (*health.reasons, subject.verify_problem)
        level = max(health.level, Level.AGING, key=lambda level: level.severity)
        return Health(level, f"Backup is not checked {age}", health.age_hours, reasons)
    return health


def _with_copies(health: Health, records: tuple[RunRecord, ...]) -> Health:
    """A backup that is not where the settings want a copy of it is not healthy."""
    failed = [push for push in last_pushes(records) if push.standing and push.failed]
    if not failed:
        return health
    reasons = (f"the push to {push.place} failed: {push.record.reason}" for push in failed)
    if health.level is not Level.HEALTHY:
        return health.because(*reasons)
    message = f"Backup is not copied offsite ({health.age_hours:.1f}h old)"
    return Health(Level.AGING, message, health.age_hours, health.reasons).because(*reasons)


def _failed(records: tuple[RunRecord, ...]) -> tuple[str, ...]:
    last = last_failure(records, "backup")
    if last is None or not failing(records, "backup"):
        return ()
    return (f"the backup of {zulu(last.started_at)} {last.result.value}: {last.reason}",)


def parse_level(text: str) -> Level:
    """The level at which a command shall fail.

    Raises:
        UsageError: there is no such level, or it is the good one.
    """
    worse = [level.value for level in Level if level is not Level.HEALTHY]
    if text not in worse:
        raise UsageError(f"{text!r} is not a level to fail on", f"one of {', '.join(worse)}")
    return Level(text)


def exit_code(level: Level, fail_on: Level | None) -> ExitCode:
    """How a command ends that was asked to fail from `fail_on` upward (None: never)."""
    if fail_on is None or level.severity < fail_on.severity:
        return ExitCode.DONE
    if level is Level.HEALTHY:
        return ExitCode.DONE
    return ExitCode.WARNING if level is Level.AGING else ExitCode.CRITICAL


def _level(age: float, thresholds: Thresholds) -> Level:
    if age > thresholds.critical:
        return Level.CRITICAL
    if age >= thresholds.outdated:
        return Level.OUTDATED
    return Level.AGING if age >= thresholds.aging else Level.HEALTHY
