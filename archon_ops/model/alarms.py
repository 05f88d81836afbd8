"""What is worth an alarm, in the document's words, and when it is said (again)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from archon_ops.model.health import Level
from archon_ops.model.pitr.concerns import Concern
from archon_ops.model.text import clean

# Verdicts by age alone; any other one needs its reasons said.
_BY_AGE = re.compile(r"Backup is (fresh|aging|outdated|critically old) \(|No backups found")
UNAVAILABLE = "unavailable"


class Severity(StrEnum):
    """How bad it is; the values are the levels of the log."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


_WORDS = {Severity.INFO: "RECOVERED", Severity.WARNING: "WARNING", Severity.ERROR: "CRITICAL"}


@dataclass(frozen=True)
class Alarm:
    """Something that is not as it should be.

    Attributes:
        about: what it is about, the same as long as it lasts ("archon/backup").
        name: the source's name for people.
        severity: how bad.
        state: what is wrong in one word or two; when that changes, it is said again.
        text: what is said.
    """

    about: str
    name: str
    severity: Severity
    state: str
    text: str


@dataclass(frozen=True)
class Message:
    """One line that is said.

    Attributes:
        severity: how bad.
        name: the source's name for people.
        text: what is said.
        word: what the log calls it; empty for the severity's own.
    """

    severity: Severity
    name: str
    text: str
    word: str = ""

    @property
    def console(self) -> str:
        """As the document's console shows it, behind the mark."""
        return clean(f"{self.name}: {self.text}")

    def logged(self, at: datetime) -> str:
        """As the document's log has it; times are UTC.

        Args:
            at: the present.
        """
        said = clean(f"{self.name}: {self.word or _WORDS[self.severity]} - {self.text}")
        return f"[{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}] [{self.severity}] {said}"


@dataclass(frozen=True)
class Said:
    """What was said of something, and when last.

    Attributes:
        state: as in the alarm.
        name: the source's name for people.
        at: UTC time.
    """

    state: str
    name: str
    at: datetime


def health_alarm(
    key: str, name: str, level: Level, message: str, reasons: Iterable[str]
) -> Alarm | None:
    """The alarm of a verdict; None when all is well.

    Args:
        key: name of the source.
        name: its name for people.
        level: of the verdict.
        message: of the verdict.
        reasons: of the verdict; said where it is not about age alone.
    """
    if level is Level.HEALTHY:
        return None
    severity = Severity.WARNING if level is Level.AGING else Severity.ERROR
    why = "" if _BY_AGE.match(message) else "; ".join(reasons)
    text = f"{_with_status(message, level)}{f': {why}' if why else ''}"
    state = f"{level} {message.partition(' (')[0]}"
    return Alarm(f"{key}/backup", name, severity, state, text)


def unavailable_alarm(key: str, name: str, cause: str) -> Alarm:
    """The alarm of a source that does not answer."""
    return Alarm(f"{key}/backup", name, Severity.ERROR, UNAVAILABLE, f"API unavailable ({cause})")


def key_alarm(key: str, name: str, why: str) -> Alarm:
    """The alarm of an encryption key that is another one than the backups'."""
    return Alarm(f"{key}/key", name, Severity.WARNING, "key changed", why)


def pitr_alarm(key: str, name: str, found: Concern) -> Alarm:
    """The alarm of a point-in-time recovery that would not go as far as it should."""
    severity = Severity.ERROR if found.critical else Severity.WARNING
    return Alarm(f"{key}/pitr", name, severity, found.state, found.text)


def decide(
    alarms: Iterable[Alarm],
    said: Mapping[str, Said],
    well: Mapping[str, str],
    now: datetime,
    repeat: timedelta,
) -> tuple[tuple[Message, ...], dict[str, Said]]:
    """What to say now, and what will have been said then.

    An alarm is said when it is new or changed, and again after the interval. A clock that was set
    back does not silence it.

    Args:
        alarms: what is wrong now.
        said: what was said before, by what it is about.
        well: what is known to be well now, with the words for it; of other things that were
            wrong nothing is known, and nothing is said.
        now: UTC time.
        repeat: interval.
    """
    messages, remembered = [], dict(said)
    for alarm in alarms:
        before = said.get(alarm.about)
        if before is None or before.state != alarm.state or not _recent(before, now, repeat):
            messages.append(Message(alarm.severity, alarm.name, alarm.text))
            remembered[alarm.about] = Said(alarm.state, alarm.name, now)
    for about, text in well.items():
        if about in remembered and about in said:
            messages.append(Message(Severity.INFO, said[about].name, text))
            del remembered[about]
    return tuple(messages), remembered


def _recent(before: Said, now: datetime, repeat: timedelta) -> bool:
    return timedelta(0) <= now - before.at < repeat


def _with_status(message: str, level: Level) -> str:
    """The document's form: "Backup aging (7.7h old, status: aging)"."""
    text = message.replace("Backup is ", "Backup ", 1)
    if text.endswith("h old)"):
        return f"{text[:-1]}, status: {level})"
    return f"{text} (status: {level})"


def recovered(message: str) -> str:
    """What is said when a source is well again."""
    return _with_status(message, Level.HEALTHY)
