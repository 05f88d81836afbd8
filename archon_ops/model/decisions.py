"""What growth asks for and when: the document's advice, with dates instead of sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from archon_ops.model.growth import (
    GB,
    Growth,
    Line,
    Rates,
    change_per_interval,
    interval_of,
    unchanged,
)
from archon_ops.model.history import History
from archon_ops.model.limits import Due, due
from archon_ops.model.policy import Policy
from archon_ops.model.units import human_duration, human_size

KB, MB = 1 << 10, 1 << 20
LARGE_BACKUP = GB
WAL_BYTES = 100 * GB
# The document's growth table: size of the database, of a backup, of ten of them.
DOCUMENT = (
    (11 * MB, 470 * KB, 5 * MB),
    (100 * MB, 50 * MB, 500 * MB),
    (GB, 500 * MB, 5 * GB),
    (10 * GB, 5 * GB, 50 * GB),
)
_DEVELOPMENT, _PRODUCTION = 5, 20
# So many backups in a row without a change are too many; so much change is too much for one step.
_IDLE, _BUSY = 0.5, 0.05
_LEAST_PAIRS = 3


@dataclass(frozen=True)
class Settings:
    """What growth is held against.

    Attributes:
        policy: the retention.
        free_bytes: room left where backups lie; None where that is not known.
        stored_bytes: what backups take there now.
        backup_time: how long a backup may take.
        recovery_time: how long a recovery may take.
        recovery_point: how old the newest backup may be.
        offsite: whether backups leave this machine.
        files_back: seconds for each byte in which pgBackRest brought the cluster back; None
            where that was never measured.
    """

    policy: Policy
    free_bytes: int | None
    stored_bytes: int
    backup_time: timedelta
    recovery_time: timedelta
    recovery_point: timedelta
    offsite: bool
    files_back: float | None = None


@dataclass(frozen=True)
class Decision:
    """One thing to decide.

    Attributes:
        what: the question.
        answer: when, or what holds.
        to_do: what then; empty where nothing is to be done.
        due: its date, for what has one.
        far: whether the date lies much further ahead than the history reaches back.
    """

    what: str
    answer: str
    to_do: str = ""
    due: Due | None = None
    far: bool = False


@dataclass(frozen=True)
class Row:
    """A line of the document's table, beside what was measured here; None: not measured."""

    database_bytes: int
    document_backup_bytes: int
    document_storage_bytes: int
    backup_bytes: int | None
    storage_bytes: int | None
    backup_seconds: float | None
    recovery_seconds: float | None


def table(rates: Rates, kept: int) -> tuple[Row, ...]:
    """The document's growth table recomputed; storage is for `kept` backups."""
    rows = []
    for size, backup, storage in DOCUMENT:
        backup_bytes = _at(rates.backup_bytes, size)
        measured = None if backup_bytes is None else round(backup_bytes)
        rows.append(
            Row(
                size,
                backup,
                storage,
                measured,
                None if measured is None else kept * measured,
                _at(rates.backup_seconds, size),
                _at(rates.recovery_seconds, size),
            )
        )
    return tuple(rows)


def _at(line: Line | None, size: int) -> float | None:
    """A rate's value; None where nothing was measured, or no database can be that small."""
    return (line.at(size) or None) if line else None


def decisions(growth: Growth, history: History, settings: Settings) -> tuple[Decision, ...]:
    """Everything that growth asks for."""
    return (
        *_dated(growth, settings),
        *_reach(history, settings),
        *_frequency(history, settings),
        _recommendation(settings),
    )


def _dated(growth: Growth, settings: Settings) -> Iterator[Decision]:
    fewer = "retention.last = 5 in archon.toml, or inv prune --archive-to"
    yield from _when(growth, "backup", LARGE_BACKUP, "a backup is larger than 1 GB", fewer)
    if settings.free_bytes is not None:
        room = settings.free_bytes + settings.stored_bytes
        what = f"the disk holds fewer than {growth.kept} backups"
        yield from _when(growth, "local storage", room, what, "another backup_dir, or fewer kept")
    for name, limit, key in (
        ("backup time", settings.backup_time, "backup_time"),
        ("recovery time", settings.recovery_time, "recovery_time"),
    ):
        seconds = limit.total_seconds()
        what = f"{name} passes its objective of {human_duration(seconds)}"
        yield from _when(
            growth, name, seconds, what, f"a faster disk, or objectives.{key} in archon.toml"
        )
    what = "a dump takes too long to restore: point-in-time recovery pays"
    seconds = settings.recovery_time.total_seconds()
    yield from _when(
        growth, "recovery time", seconds, what, f"inv pitr.setup{_there(growth, settings)}"
    )
    what = "the database is larger than 100 GB: WAL archiving"
    yield from _when(growth, "database", WAL_BYTES, what, "inv pitr.setup")


def _there(growth: Growth, settings: Settings) -> str:
    """How long the same takes where files come back instead of rows, as it was measured."""
    if settings.files_back is None:
        return ""
    database = growth.curves["database"].now
    took = human_duration(settings.files_back * database)
    return f": it brings {human_size(round(database))} back in {took}"


def _when(growth: Growth, curve: str, limit: float, what: str, to_do: str) -> Iterator[Decision]:
    if curve not in growth.curves:
        measure = "inv verify latest --restore" if curve == "recovery time" else "inv backup"
        yield Decision(what, "not known: never measured", measure)
        return
    found = due(growth.curves[curve], limit, growth.date)
    seen = growth.date(2 * growth.projection.span)
    first = found.expected or found.earliest
    far = first is not None and first > seen
    yield Decision(what, found.text, to_do if found.passed or first else "", found, far)


def _reach(history: History, settings: Settings) -> Iterator[Decision]:
    interval, last = interval_of(history), settings.policy.last
    if interval is None:
        return
    reach = human_duration((interval * last).total_seconds())
    every = human_duration(interval.total_seconds())
    calendar = [
        f"{count} {name}"
        for name in ("daily", "weekly", "monthly", "yearly")
        if (count := getattr(settings.policy, name))
    ]
    beyond = f", and {', '.join(calendar)} beyond" if calendar else ""
    to_do = "" if calendar or interval * last >= timedelta(days=7) else "retention.daily = 7"
    answer = f"{last} backups, one every {every} = {reach} of history{beyond}"
    yield Decision("how far back the retention reaches", answer, to_do)


def _frequency(history: History, settings: Settings) -> Iterator[Decision]:
    interval = interval_of(history)
    same, pairs = unchanged(history)
    what = "whether backups are as frequent as changes"
    if interval is None or pairs < _LEAST_PAIRS:
        yield Decision(what, "too few backups to tell")
        return
    change = change_per_interval(history)
    every = human_duration(interval.total_seconds())
    point = settings.recovery_point
    if interval > point:
        limit = human_duration(point.total_seconds())
        answer = f"every {every} is more than the {limit} that may be lost: more are due"
        yield Decision(what, answer, "schedule.backup in archon.toml")
    elif same / pairs > _IDLE:
        answer = f"{same} of {pairs} backups hold what the one before held: fewer would do"
        yield Decision(what, answer, "schedule.backup in archon.toml")
    elif change > _BUSY:
        answer = f"the size changes by {100 * change:.0f} % in {every}: more are due"
        yield Decision(what, answer, "schedule.backup in archon.toml")
    else:
        answer = f"{pairs - same} of {pairs} backups hold something new, one every {every}: it fits"
        yield Decision(what, answer)


def _recommendation(settings: Settings) -> Decision:
    last = settings.policy.last
    fits = [
        *(["development (5 to 10)"] if last >= _DEVELOPMENT else []),
        *(["production (20 or more)"] if last >= _PRODUCTION else []),
        *(
            ["critical systems (copies elsewhere)"]
            if last >= _PRODUCTION and settings.offsite
            else []
        ),
    ]
    lacking = [
        *(["production asks for 20 or more"] if last < _PRODUCTION else []),
        *([] if settings.offsite else ["critical systems ask for copies elsewhere"]),
    ]
    answer = f"{last} are kept: enough for {', '.join(fits) or 'nothing of these'}"
    more = f"; {'; '.join(lacking)}" if lacking else ""
    to_do = "retention.last = 20 in archon.toml" if last < _PRODUCTION else ""
    return Decision("the document's recommendation", answer + more, to_do)


def size_text(size: float | None) -> str | None:
    """Bytes for people."""
    return None if size is None else human_size(round(size))
