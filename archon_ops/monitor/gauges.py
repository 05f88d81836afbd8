"""The numbers of a snapshot, by name: base units, and times instead of ages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from archon_ops.model import runs
from archon_ops.model.pitr.state import State
from archon_ops.model.runs import Result, RunRecord
from archon_ops.monitor.snapshot import Snapshot

# The values of the labels behind `source`, and the number; None where it is not known.
Sample = tuple[tuple[str, ...], float | None]


@dataclass(frozen=True)
class Gauge:
    """One metric.

    Attributes:
        name: without the prefix that all share.
        help: one line.
        samples: what a snapshot says of it.
        label: name of a label behind `source`; empty where there is none.
    """

    name: str
    help: str
    samples: Callable[[Snapshot], Iterable[Sample]]
    label: str = ""


def _single(value: Callable[[Snapshot], float | None]) -> Callable[[Snapshot], Iterable[Sample]]:
    return lambda snapshot: (((), value(snapshot)),)


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None


def _restored(found: Snapshot) -> float | None:
    times = [b.restored_at for b in found.catalog.backups if b.restored_at]
    return _seconds(max(times, default=None))


def _stored(found: Snapshot) -> Iterator[Sample]:
    ordinary = found.catalog.ordinary
    managed = sum(backup.managed for backup in ordinary)
    yield ("managed",), managed
    yield ("unmanaged",), len(ordinary) - managed
    yield ("safety",), len(found.catalog.safety)


def _rows(found: Snapshot) -> Iterator[Sample]:
    manifest = found.subject.manifest if found.subject else None
    for table in manifest.tables if manifest else ():
        if table.table.startswith("archon_"):
            yield (table.name,), table.rows


def _each_action(
    value: Callable[[tuple[RunRecord, ...], str], float | None],
) -> Callable[[Snapshot], Iterable[Sample]]:
    def samples(found: Snapshot) -> Iterator[Sample]:
        for action in sorted({record.action for record in found.records}):
            yield (action,), value(found.records, action)

    return samples


def _started(record: RunRecord | None) -> float | None:
    return _seconds(record.started_at) if record else None


def _ended(records: tuple[RunRecord, ...], action: str) -> bool:
    ended = (r for r in records if r.action == action and r.result is not Result.RUNNING)
    return any(not r.refused for r in ended)


def _failing(records: tuple[RunRecord, ...], action: str) -> float | None:
    return float(runs.failing(records, action)) if _ended(records, action) else None


def _duration(records: tuple[RunRecord, ...], action: str) -> float | None:
    last = runs.last_success(records, action)
    return last.seconds if last else None


def _recovery(found: Snapshot) -> float | None:
    drill = runs.last_drill(found.records)
    return runs.recovery_seconds(drill) if drill else None


def _channels(found: Snapshot) -> Iterator[Sample]:
    for name, (problem, _) in sorted(runs.channels(found.records).items()):
        yield (name,), float(problem == "")


def _thresholds(found: Snapshot) -> Iterator[Sample]:
    ages = found.watched.thresholds
    for level in ("aging", "outdated", "critical"):
        yield (level,), getattr(ages, level) * 3600


def _key(found: Snapshot) -> float | None:
    return None if found.key_changed is None else float(found.key_changed)


def _pitr(value: Callable[[State], float | None]) -> Callable[[Snapshot], Iterable[Sample]]:
    return _single(lambda found: value(found.pitr) if found.pitr else None)


def _pitr_stored(found: Snapshot) -> Iterator[Sample]:
    labels = found.pitr.labels if found.pitr else ()
    for kind in sorted({label.kind for label in labels}):
        yield (kind,), sum(label.kind == kind for label in labels)


def _pitr_newest(found: Snapshot) -> Iterator[Sample]:
    newest = {label.kind: label.stopped_at for label in (found.pitr.labels if found.pitr else ())}
    for kind, stopped in sorted(newest.items()):
        yield (kind,), stopped.timestamp()


def _pitr_concern(found: Snapshot) -> float | None:
    if found.concern:
        return 2.0 if found.concern.critical else 1.0
    return 0.0 if found.pitr else None


def _archiving(state: State) -> float | None:
    archiver = state.archiver
    return float(archiver.mode != "off" and not archiver.failing) if archiver else None


GAUGES = (
    Gauge(
        "source_up",
        "Whether the backup directory can be read.",
        _single(lambda s: float(s.trouble is None)),
    ),
    Gauge(
        "snapshot_timestamp_seconds",
        "Time as of which the newest backup holds data.",
        _single(lambda s: _seconds(s.subject.taken_at if s.subject else None)),
    ),
    Gauge(
        "size_bytes",
        "Length of the newest backup.",
        _single(lambda s: s.subject.size_bytes if s.subject else None),
    ),
    Gauge(
        "stored_bytes",
        "Length of all backups together.",
        _single(lambda s: sum(backup.size_bytes for backup in s.catalog.backups)),
    ),
    Gauge("stored", "Number of backups.", _stored, "kind"),
    Gauge("table_rows", "Rows of Archon's tables in the newest backup.", _rows, "table"),
    Gauge(
        "last_verified_restore_timestamp_seconds",
        "Time of the last restore that was proven equal.",
        _single(_restored),
    ),
    Gauge(
        "run_last_success_timestamp_seconds",
        "Start of the last good run.",
        _each_action(lambda records, action: _started(runs.last_success(records, action))),
        "action",
    ),
    Gauge(
        "run_last_failure_timestamp_seconds",
        "Start of the last failed run.",
        _each_action(lambda records, action: _started(runs.last_failure(records, action))),
        "action",
    ),
    Gauge("run_failing", "Whether the last run failed.", _each_action(_failing), "action"),
    Gauge(
        "run_duration_seconds", "Duration of the last good run.", _each_action(_duration), "action"
    ),
    Gauge(
        "last_drill_timestamp_seconds",
        "Start of the last drill.",
        _single(lambda s: _started(runs.last_drill(s.records))),
    ),
    Gauge("last_drill_recovery_seconds", "Time to recovery in the last drill.", _single(_recovery)),
    Gauge(
        "disk_used_bytes",
        "Used on the backups' file system.",
        _single(lambda s: s.room.used_bytes if s.room else None),
    ),
    Gauge(
        "disk_free_bytes",
        "Free on the backups' file system.",
        _single(lambda s: s.room.free_bytes if s.room else None),
    ),
    Gauge(
        "encryption_key_changed",
        "Whether Archon's key is another one than in the newest backup.",
        _single(_key),
    ),
    Gauge(
        "pitr_earliest_timestamp_seconds",
        "First moment that can be restored.",
        _pitr(lambda state: _seconds(state.earliest)),
    ),
    Gauge(
        "pitr_latest_timestamp_seconds",
        "Last moment that can be restored: the last archived commit.",
        _pitr(lambda state: _seconds(state.latest)),
    ),
    Gauge(
        "pitr_seen_timestamp_seconds",
        "Time of the last look at repositories and archiver.",
        _pitr(lambda state: _seconds(state.at)),
    ),
    Gauge("pitr_stored", "Number of pgBackRest's backups.", _pitr_stored, "kind"),
    Gauge(
        "pitr_backup_timestamp_seconds",
        "End of the newest of pgBackRest's backups of a kind.",
        _pitr_newest,
        "kind",
    ),
    Gauge(
        "pitr_stored_bytes",
        "Length of all of them together in the repositories, without WAL.",
        _pitr(lambda state: sum(label.stored_bytes for label in state.labels)),
    ),
    Gauge(
        "pitr_archiving",
        "Whether the server archives its WAL.",
        _pitr(_archiving),
    ),
    Gauge(
        "pitr_wal_waiting_bytes",
        "WAL that waits on the server's disk to be archived.",
        _pitr(lambda state: state.archiver.waiting_bytes if state.archiver else None),
    ),
    Gauge(
        "pitr_trouble",
        "Whether something was wrong with repositories or server at the last look.",
        _pitr(lambda state: float(bool(state.trouble or state.damaged or state.broken))),
    ),
    Gauge(
        "pitr_concern",
        "What is wrong with point-in-time recovery: 0 nothing, 1 a warning, 2 critical.",
        _single(_pitr_concern),
    ),
    Gauge("channel_up", "Whether the last message of a channel arrived.", _channels, "channel"),
    Gauge("threshold_seconds", "Age at which a level begins.", _thresholds, "level"),
)
