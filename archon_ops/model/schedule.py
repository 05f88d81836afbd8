"""When things are done: an entry as people write it, and what timers and crontabs make of it.

hourly        at every full hour
every 10m     every so many minutes, counted from the full hour (a divisor of 60)
02:00         every day
Sun 04:00     every week
1 05:00       every month, on that day (1 to 28: every month has those)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from archon_ops.errors import UsageError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# What is installed where the settings say nothing.
DEFAULTS = {
    "backup": "02:00",
    "offsite": "03:00",
    "verify": "Sun 04:00",
    "drill": "1 05:00",
    "alert": "every 10m",
    "pitr-incr": "01:00",
    # Far from the others: it takes the longest, and two backups of one source never run at once.
    "pitr-full": "Sun 06:00",
}
PITR = ("pitr-incr", "pitr-full")
_CLOCK = r"([01]?[0-9]|2[0-3]):([0-5][0-9])"
_TIMED = re.compile(rf"(?:({'|'.join(DAYS)})\s+|([1-9]|1[0-9]|2[0-8])\s+)?{_CLOCK}", re.IGNORECASE)
_EVERY = re.compile(r"every\s+([1-9][0-9]?)\s*m(?:in)?", re.IGNORECASE)
# The longest that two runs of a monthly entry lie apart.
_MONTH = timedelta(days=31)


@dataclass(frozen=True)
class Entry:
    """One entry of a schedule, in wall-clock time.

    Attributes:
        minutes: distance of the runs in minutes, counted from the full hour; None: at a time.
        hour, minute: the time of day, where it has one.
        weekday: 0 (Monday) to 6, of a weekly entry.
        day: 1 to 28, of a monthly entry.
    """

    minutes: int | None = None
    hour: int = 0
    minute: int = 0
    weekday: int | None = None
    day: int | None = None

    def __str__(self) -> str:
        if self.minutes is not None:
            return "hourly" if self.minutes == 60 else f"every {self.minutes}m"
        day = DAYS[self.weekday] if self.weekday is not None else self.day
        return f"{'' if day is None else f'{day} '}{self.hour:02}:{self.minute:02}"

    @property
    def interval(self) -> timedelta:
        """The longest time between two runs."""
        if self.minutes is not None:
            return timedelta(minutes=self.minutes)
        if self.day is not None:
            return _MONTH
        return timedelta(days=1 if self.weekday is None else 7)

    @property
    def on_calendar(self) -> str:
        """The same for OnCalendar= of a systemd timer, without a zone."""
        if self.minutes is not None:
            return "*-*-* *:00:00" if self.minutes == 60 else f"*-*-* *:00/{self.minutes}:00"
        weekday = "" if self.weekday is None else f"{DAYS[self.weekday]} "
        day = "*" if self.day is None else f"{self.day:02}"
        return f"{weekday}*-*-{day} {self.hour:02}:{self.minute:02}:00"

    @property
    def cron(self) -> str:
        """The same as the first five fields of a crontab's line."""
        if self.minutes is not None:
            return "0 * * * *" if self.minutes == 60 else f"*/{self.minutes} * * * *"
        weekday = "*" if self.weekday is None else str((self.weekday + 1) % 7)
        return f"{self.minute} {self.hour} {self.day or '*'} * {weekday}"

    def next_after(self, now: datetime, zone: tzinfo) -> datetime:
        """The first run after `now` (with a zone), in UTC.

        Args:
            now: the present.
            zone: in which the entry's wall-clock time is meant.
        """
        if self.minutes is not None:
            return self._next_part(now, zone)
        day = now.astimezone(zone).replace(hour=self.hour, minute=self.minute, second=0)
        # Wall-clock days are counted: a day of 23 or 25 hours is one of them.
        for days in range(_MONTH.days + 2):
            at = (day.replace(microsecond=0, fold=0) + timedelta(days=days)).astimezone(UTC)
            if at > now and self._falls_on(at.astimezone(zone)):
                return at
        raise AssertionError("every entry falls on a day of every month")

    def _next_part(self, now: datetime, zone: tzinfo) -> datetime:
        local = now.astimezone(zone)
        step = self.minutes or 60
        wait = timedelta(minutes=step - local.minute % step, seconds=-local.second)
        return (now + wait).replace(microsecond=0).astimezone(UTC)

    def _falls_on(self, at: datetime) -> bool:
        if self.weekday is not None:
            return at.weekday() == self.weekday
        return self.day is None or at.day == self.day


def parse(text: str) -> Entry:
    """The entry that a text means.

    Raises:
        UsageError: it means none.
    """
    given = text.strip()
    if given.lower() == "hourly":
        return Entry(minutes=60)
    if (every := _EVERY.fullmatch(given)) and 60 % (minutes := int(every[1])) == 0:
        return Entry(minutes=minutes)
    timed = _TIMED.fullmatch(given)
    if timed is None:
        raise UsageError(
            f"{text!r} is not a time of a schedule",
            'write it like "hourly", "every 10m", "02:00", "Sun 04:00" or "1 05:00" (day 1 to 28)',
        )
    weekday, day, hour, minute = timed.groups()
    return Entry(
        hour=int(hour),
        minute=int(minute),
        weekday=None if weekday is None else DAYS.index(weekday.capitalize()),
        day=None if day is None else int(day),
    )
