"""Moments as people say them: a time with its zone, or so long ago."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from archon_ops.errors import UsageError

_AGO = re.compile(r"(\d{1,6})\s*(second|sec|s|minute|min|m|hour|h|day|d)s?\s+ago", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FORM = "'2026-11-24 15:00:00+01', '2026-11-24T14:00:00Z' or '5 minutes ago'"


@dataclass(frozen=True)
class Moment:
    """A moment, and how it was understood.

    Attributes:
        at: UTC.
        said: what a person should be told of how it was understood; empty where nothing is open.
    """

    at: datetime
    said: str = ""


def parse_moment(text: str, now: datetime, zone: str = "") -> Moment:
    """The moment that a person means.

    Args:
        text: what was typed.
        now: the present, UTC.
        zone: name of the time zone for times without one; empty: those are refused.

    Raises:
        UsageError: it is no time, has no zone, does not exist in its zone, or is ahead of us.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        seconds = int(ago[1]) * _SECONDS[ago[2][0].lower()]
        return _past(Moment(now - timedelta(seconds=seconds)), text, now)
    try:
        # A date alone means its midnight to Python, and rarely to a person.
        found = datetime.fromisoformat(text.strip()) if ":" in text else None
    except ValueError:
        found = None
    if found is None:
        raise UsageError(f"{text!r} is not a moment", f"write it like {_FORM}")
    if found.tzinfo is not None:
        return _past(Moment(found.astimezone(UTC)), text, now)
    if not zone:
        raise UsageError(
            f"{text!r} has no time zone, and could mean any of 26 hours",
            f"write it like {_FORM}, or set pitr.zone of the source",
        )
    return _past(_in_zone(found, zone), text, now)


def _in_zone(found: datetime, zone: str) -> Moment:
    try:
        where = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError(f"pitr.zone: there is no time zone {zone!r}") from error
    at = found.replace(tzinfo=where)
    # The hour that clocks are put back by exists twice, the one that they skip not at all.
    if at.utcoffset() != at.replace(fold=1).utcoffset():
        raise UsageError(
            f"{found} is not one moment in {zone}: its clocks are changed then",
            f"write it with its offset, like {_FORM}",
        )
    moment = at.astimezone(UTC)
    return Moment(moment, f"{found} is taken as a time of {zone}: {moment:%Y-%m-%d %H:%M:%S} UTC")


def _past(moment: Moment, text: str, now: datetime) -> Moment:
    if moment.at > now:
        raise UsageError(
            f"{text!r} lies ahead: it is {now:%Y-%m-%d %H:%M:%S} UTC", "name a time that is over"
        )
    return moment
