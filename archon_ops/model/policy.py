"""What a retention policy says, and whether it makes sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from archon_ops.errors import UsageError


@dataclass(frozen=True)
class Policy:
    """How many backups of each kind stay.

    Attributes:
        last: the newest ones, whatever their dates; at least 1.
        daily, weekly, monthly, yearly: the newest of each of so many days, ISO weeks, months and
            years that have a backup.
        zone: name of the time zone in which a day begins.
        label_last: the newest labelled ones, counted apart; None keeps them all.
        safety_last: the newest safety ones, counted apart.

    Raises:
        UsageError: a number is not usable, or the zone is unknown.
    """

    last: int = 10
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    zone: str = "UTC"
    label_last: int | None = 10
    safety_last: int = 3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "zone" or (field.name == "label_last" and value is None):
                continue
            _check_count(field.name, value, least=1 if field.name == "last" else 0)
        _timezone(self.zone)

    @property
    def timezone(self) -> tzinfo:
        """The zone in which a day begins."""
        return _timezone(self.zone)


@dataclass(frozen=True)
class Calendar:
    """One calendar rule: its name, how many periods it keeps, and the period of a local time."""

    name: str
    count: int
    period: Callable[[datetime], str]


def calendars(policy: Policy) -> tuple[Calendar, ...]:
    """The calendar rules that a policy uses."""
    rules = (
        Calendar("daily", policy.daily, lambda at: at.strftime("%Y-%m-%d")),
        Calendar("weekly", policy.weekly, lambda at: "{}-W{:02}".format(*at.isocalendar())),
        Calendar("monthly", policy.monthly, lambda at: at.strftime("%Y-%m")),
        Calendar("yearly", policy.yearly, lambda at: at.strftime("%Y")),
    )
    return tuple(rule for rule in rules if rule.count)


def _check_count(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise UsageError(
            f"retention {name} is {value!r}: it must be a whole number of at least {least}",
            "keep at least one backup, for example --retention 10" if least else "",
        )


def _timezone(name: str) -> tzinfo:
    if name == "UTC":  # known without any time zone database
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"unknown time zone {name!r}", "for example Europe/Sofia") from error
