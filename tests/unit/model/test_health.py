from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import pytest

from archon_ops.errors import ExitCode, UsageError
from archon_ops.model.backup import Backup
from archon_ops.model.catalog import Catalog
from archon_ops.model.health import (
    Level,
    Thresholds,
    assess,
    assess_catalog,
    exit_code,
    parse_level,
)

Make = Callable[..., Backup]
USUAL = Thresholds()


@pytest.mark.parametrize(
    ("age", "level", "message"),
    [
        (2.3, "healthy", "Backup is fresh (2.3h old)"),
        (5.99, "healthy", "Backup is fresh (6.0h old)"),
        (6.0, "aging", "Backup is aging (6.0h old)"),
        (7.7, "aging", "Backup is aging (7.7h old)"),
        (24.0, "outdated", "Backup is outdated (24.0h old)"),
        (25.3, "outdated", "Backup is outdated (25.3h old)"),
        (48.0, "outdated", "Backup is outdated (48.0h old)"),
        (50.0, "critical", "Backup is critically old (50.0h old)"),
        (None, "missing", "No backups found"),
    ],
)
def test_levels_and_words_of_the_document(age: float | None, level: str, message: str) -> None:
    health = assess(age, USUAL)
    assert (health.level, health.message, health.reasons) == (level, message, ())


def test_thresholds_can_be_set() -> None:
    assert assess(2, Thresholds(1, 3, 4)).level is Level.AGING


@pytest.mark.parametrize("values", [(0, 1, 2), (3, 2, 1), (1, 2, math.inf), (math.nan, 1, 2)])
def test_thresholds_that_make_no_sense(values: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError):
        Thresholds(*values)


def test_a_backup_from_the_future_is_fresh_and_says_that_a_clock_is_wrong() -> None:
    health = assess(-3, USUAL)
    assert (health.level, health.age_hours) == (Level.HEALTHY, 0)
    assert "3.0h in the future" in health.reasons[0]


def test_a_damaged_newest_backup_is_critical_however_fresh(backup: Make, now: datetime) -> None:
    health = assess_catalog(Catalog((backup(1, kind="failed"), backup(2))), USUAL, now)
    assert health.level is Level.CRITICAL
    assert health.message == "Backup is damaged (1.0h old)"
    assert "checksum differs" in health.reasons


def test_a_foreign_dump_alone_is_judged_by_age_with_a_reservation(
    backup: Make, now: datetime
) -> None:
    health = assess_catalog(Catalog((backup(7, kind="unmanaged"),)), USUAL, now)
    assert health.level is Level.AGING
    assert "no manifest" in health.reasons[0]


def test_an_empty_catalogue_is_missing(now: datetime) -> None:
    assert assess_catalog(Catalog(()), USUAL, now).level is Level.MISSING


def test_exit_codes_from_a_level_upward() -> None:
    order = ["healthy", "aging", "outdated", "critical", "missing"]
    assert sorted(Level, key=lambda level: level.severity) == order
    assert exit_code(Level.MISSING, None) is ExitCode.DONE
    assert exit_code(Level.HEALTHY, Level.AGING) is ExitCode.DONE
    assert exit_code(Level.AGING, Level.AGING) is ExitCode.WARNING
    assert exit_code(Level.AGING, Level.OUTDATED) is ExitCode.DONE
    assert exit_code(Level.OUTDATED, Level.AGING) is ExitCode.CRITICAL
    assert exit_code(Level.CRITICAL, Level.CRITICAL) is ExitCode.CRITICAL
    assert exit_code(Level.MISSING, Level.CRITICAL) is ExitCode.CRITICAL


@pytest.mark.parametrize("text", ["healthy", "", "AGING", "bad"])
def test_levels_that_cannot_be_failed_on(text: str) -> None:
    with pytest.raises(UsageError):
        parse_level(text)
    assert parse_level("outdated") is Level.OUTDATED
