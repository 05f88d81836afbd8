"""What is written down of every run: enough to say what happened, and to clean up after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from archon_ops.errors import ExitCode

# Key of a record's details: what became of the messages that the run sent.
CHANNELS = "channels"
# … and whether Archon's encryption key was another one than the newest backup's.
KEY_CHANGED = "key_changed"
VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE")
# What a person asks for, and reads the answer of. All else has to work when nobody looks.
_BY_HAND = frozenset({"finalize", "rehearse", "rescue", "restore", "start", "stop", "undo"})
_TURNED_DOWN = (ExitCode.USAGE, ExitCode.PRECONDITION)


class Result(StrEnum):
    """How a run stands, or ended.

    running: it has not ended, or it could not say so any more.
    done: it did what it was asked.
    failed: it ended with an error.
    interrupted: a signal ended it, and it cleaned up.
    killed: it vanished without a word; a later run found that out.
    """

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    KILLED = "killed"


@dataclass(frozen=True)
class Phase:
    """A phase that a run entered: its stable name and the UTC time."""

    name: str
    at: datetime


@dataclass(frozen=True)
class RunRecord:
    """One run of an action.

    Attributes:
        id: sortable by time, unique ("20251217T022448Z-1f3a").
        action: what was run ("backup").
        source: on which source.
        started_at, finished_at: UTC times; the second is None while it runs.
        result: how it stands.
        exit_code: what the caller was told; None while it runs, or when it was killed.
        reason, hint: of the error, else empty.
        pid, host: the process that ran it.
        details: anything the action wants to be found again; JSON types only.
        phases: in the order in which it entered them.
    """

    id: str
    action: str
    source: str
    started_at: datetime
    pid: int
    host: str
    finished_at: datetime | None = None
    result: Result = Result.RUNNING
    exit_code: int | None = None
    reason: str = ""
    hint: str = ""
    details: dict[str, object] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether it was turned down, before the eyes of who asked for it: nobody need be told."""
        asked = self.action in _BY_HAND and self.result is Result.FAILED
        return asked and self.exit_code in _TURNED_DOWN

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


def entered(record: RunRecord, phase: str, at: datetime) -> RunRecord:
    """The record after its run entered a phase."""
    return replace(record, phases=(*record.phases, Phase(phase, at)))


def ended(
    record: RunRecord,
    at: datetime,
    result: Result,
    exit_code: int | None,
    *,
    reason: str = "",
    hint: str = "",
    details: dict[str, object] | None = None,
) -> RunRecord:
    """The record after its run ended; `details` are added to those it has."""
    merged = {**record.details, **(details or {})}
    return replace(
        record,
        finished_at=at,
        result=result,
        exit_code=exit_code,
        reason=reason,
        hint=hint,
        details=merged,
    )


@dataclass(frozen=True)
class LastPush:
    """How the last push to a place offsite ended.

    Attributes:
        place: its name in the settings, else its URL without credentials.
        standing: whether the settings name it, so that it is expected to hold copies.
        record: of that run.
    """

    place: str
    standing: bool
    record: RunRecord

    @property
    def failed(self) -> bool:
        """Whether the backups of that run are not there."""
        return self.record.result is not Result.DONE


def last_pushes(records: Iterable[RunRecord]) -> tuple[LastPush, ...]:
    """The newest ended push to every place, by the place's name."""
    found: dict[str, LastPush] = {}
    for record in sorted(records, key=lambda r: (r.started_at, r.id)):
        details = record.details
        pushed = record.action == "offsite" and details.get("verb") == "push"
        if pushed and record.result is not Result.RUNNING:
            place = str(details.get("place") or details.get("to"))
            found[place] = LastPush(place, "place" in details, record)
    return tuple(found[place] for place in sorted(found))


def last_success(records: Iterable[RunRecord], action: str) -> RunRecord | None:
    """The newest run of an action that did what it was asked."""
    return _newest(r for r in records if r.action == action and r.result is Result.DONE)


def last_failure(records: Iterable[RunRecord], action: str) -> RunRecord | None:
    """The newest run of an action that did not: failed, interrupted or killed; never refused."""
    return _newest(r for r in _tried(records, action) if r.result is not Result.DONE)


def failing(records: Iterable[RunRecord], action: str) -> bool:
    """Whether the newest ended run of an action was not a success; refused ones do not count."""
    newest = _newest(_tried(records, action))
    return newest is not None and newest.result is not Result.DONE


def last_drill(records: Iterable[RunRecord]) -> RunRecord | None:
    """The newest drill, or run of a runbook, that ended."""
    return _newest(r for r in records if r.action == "drill" and r.result is not Result.RUNNING)


def verdict(drill: RunRecord) -> str:
    """What a drill ended with: PASS, FAIL or INCONCLUSIVE; one that broke off did not pass."""
    said = drill.details.get("verdict")
    if drill.result is not Result.DONE:
        return "FAIL"
    return said if isinstance(said, str) and said in VERDICTS else "INCONCLUSIVE"


def recovery_seconds(drill: RunRecord) -> float | None:
    """How long recovery took in a drill; None where that is not known."""
    said = drill.details.get("recovery_seconds")
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) else None


def channels(records: Iterable[RunRecord]) -> dict[str, tuple[str, datetime]]:
    """For every channel that was ever used: why its last message did not arrive ("": it did), when.

    Args:
        records: of the runs; those that sent messages hold {"channels": {name: problem}}.
    """
    found: dict[str, tuple[str, datetime]] = {}
    for record in sorted(records, key=lambda r: (r.started_at, r.id)):
        sent = record.details.get(CHANNELS)
        if isinstance(sent, dict):
            at = record.finished_at or record.started_at
            found.update({str(name): (str(said), at) for name, said in sent.items()})
    return found


def _tried(records: Iterable[RunRecord], action: str) -> Iterable[RunRecord]:
    """The ended runs of an action that got as far as to try it."""
    ended_runs = (r for r in records if r.action == action and r.result is not Result.RUNNING)
    return (r for r in ended_runs if not r.refused)


def _newest(records: Iterable[RunRecord]) -> RunRecord | None:
    return max(records, key=lambda r: (r.started_at, r.id), default=None)
