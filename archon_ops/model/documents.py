"""The answers of list, status and health: the document's fields first, then ours.

The document's times are UTC without a zone; ours end in Z. Safety backups lie in a folder that the
document does not know, so its counts and sums leave them out and they get fields of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from archon_ops.model.backup import Backup
from archon_ops.model.catalog import Catalog, age_hours
from archon_ops.model.health import Health, Level, Thresholds
from archon_ops.model.runs import (
    RunRecord,
    channels,
    failing,
    last_drill,
    last_failure,
    last_pushes,
    last_success,
    recovery_seconds,
    verdict,
)
from archon_ops.model.units import document_time, human_size, zulu

Document = dict[str, object]
SAFETY_FOLDER = "safety"


def entry_document(backup: Backup, location: str, now: datetime) -> Document:
    """One backup of a list."""
    folder = f"{location.rstrip('/')}/{SAFETY_FOLDER}" if backup.safety else location.rstrip("/")
    return {
        "filename": backup.name,
        "timestamp": document_time(backup.taken_at),
        "age_hours": _age(backup, now),
        "size_bytes": backup.size_bytes,
        "size_human": human_size(backup.size_bytes),
        "path": f"{folder}/{backup.name}",
        "timestamp_utc": zulu(backup.taken_at),
        **_known(backup),
    }


def list_document(catalog: Catalog, location: str, now: datetime) -> Document:
    """The list of a directory, newest first.

    Args:
        catalog: its backups.
        location: the directory, as it is shown.
        now: UTC time that ages are counted to.
    """
    total = _bytes(catalog.ordinary)
    return {
        "count": len(catalog.ordinary),
        "backups": [entry_document(backup, location, now) for backup in catalog.ordinary],
        "total_size_bytes": total,
        "total_size_human": human_size(total),
        "safety_backups": [entry_document(backup, location, now) for backup in catalog.safety],
        "safety_size_bytes": _bytes(catalog.safety),
    }


def status_document(
    source: str,
    catalog: Catalog,
    health: Health,
    *,
    max_retention: int,
    location: str,
    disk_usage_percent: float | None,
    now: datetime,
) -> Document:
    """The state of a source's backups: of the latest managed one, else of the newest foreign one.

    Args:
        source: name of the source.
        catalog: its backups.
        health: the verdict on them.
        max_retention: how many backups a prune keeps.
        location: the directory, as it is shown.
        disk_usage_percent: how full its file system is; None when that is not known.
        now: UTC time that ages are counted to.
    """
    subject = catalog.subject()
    size = subject.size_bytes if subject else 0
    return {
        "source": source,
        "latest_backup": document_time(subject.taken_at) if subject else None,
        "age_hours": _age(subject, now) if subject else None,
        "size_bytes": size,
        "size_human": human_size(size),
        "count": len(catalog.ordinary),
        "max_retention": max_retention,
        "health": health.level.value,
        "health_message": health.message,
        "location": location,
        "disk_usage_percent": disk_usage_percent,
        "health_reasons": list(health.reasons),
        "latest_filename": subject.name if subject else None,
        "latest_backup_utc": zulu(subject.taken_at) if subject else None,
        **_known(subject),
        **_totals(catalog),
    }


def health_document(health: Health) -> Document:
    """The short answer for probes."""
    return {
        "healthy": health.level is Level.HEALTHY,
        "status": health.level.value,
        "message": health.message,
        "age_hours": None if health.age_hours is None else round(health.age_hours, 1),
        "reasons": list(health.reasons),
    }


def thresholds_document(thresholds: Thresholds) -> Document:
    """From which ages on the levels count, and why those."""
    return {
        "aging_hours": thresholds.aging,
        "outdated_hours": thresholds.outdated,
        "critical_hours": thresholds.critical,
        "basis": thresholds.basis,
    }


def runs_document(records: Sequence[RunRecord]) -> Document:
    """What the records of the runs tell.

    Args:
        records: newest first.
    """
    good, bad = last_success(records, "backup"), last_failure(records, "backup")
    still_bad = bad is not None and failing(records, "backup")
    return {
        "last_success": zulu(good.started_at) if good else None,
        "last_failure": f"{zulu(bad.started_at)}: {bad.reason}" if bad and still_bad else None,
        "failing": [_failure(records, action) for action in _failing_actions(records)],
        "last_drill": _drill(records),
        "offsite": [
            {
                "place": push.place,
                "at": zulu(push.record.started_at),
                "result": push.record.result.value,
                "reason": push.record.reason,
                "backups": push.record.details.get("backups", []),
            }
            for push in last_pushes(records)
        ],
        "channels": [
            {"channel": name, "arrived": said == "", "problem": said, "at": zulu(at)}
            for name, (said, at) in sorted(channels(records).items())
        ],
        "kept": next((r.details["kept"] for r in records if "kept" in r.details), None),
    }


def _failing_actions(records: Sequence[RunRecord]) -> list[str]:
    return sorted(name for name in {r.action for r in records} if failing(records, name))


def _failure(records: Sequence[RunRecord], action: str) -> Document:
    last = last_failure(records, action)
    return {
        "action": action,
        "at": zulu(last.started_at) if last else None,
        "result": last.result.value if last else None,
        "reason": last.reason if last else "",
    }


def _drill(records: Sequence[RunRecord]) -> Document | None:
    last = last_drill(records)
    if last is None:
        return None
    return {
        "at": zulu(last.started_at),
        "runbook": last.details.get("runbook"),
        "verdict": verdict(last),
        "recovery_seconds": recovery_seconds(last),
    }


def _known(backup: Backup | None) -> Document:
    """What is known beyond the file; every key is there even when nothing is."""
    manifest = backup.manifest if backup else None
    verified_at, verified_how = _verified(backup) if backup else (None, None)
    return {
        "trust": backup.trust.value if backup else None,
        "problems": _problems(backup) if backup else [],
        "verified_at": verified_at,
        "verified_how": verified_how,
        "rows": manifest.rows if manifest else None,
        "archon_rows": manifest.archon_rows if manifest else None,
        "label": backup.label if backup else None,
        "not_covered": list(manifest.not_covered) if manifest else [],
        "safety": backup.safety if backup else False,
    }


def _verified(backup: Backup) -> tuple[str | None, str | None]:
    """When and how it was last found sound: it was read back at the end of the backup itself."""
    passed = backup.last_passed
    if passed:
        return zulu(passed.at), passed.method
    return (zulu(backup.manifest.finished_at), "backup") if backup.manifest else (None, None)


def _problems(backup: Backup) -> list[str]:
    return [*backup.problems, *([backup.verify_problem] if backup.verify_problem else [])]


def _totals(catalog: Catalog) -> Document:
    trustworthy = catalog.newest_trustworthy()
    return {
        "newest_trustworthy": trustworthy.name if trustworthy else None,
        "managed_count": sum(backup.managed for backup in catalog.ordinary),
        "unmanaged_count": sum(not backup.managed for backup in catalog.ordinary),
        "safety_count": len(catalog.safety),
        "total_size_bytes": _bytes(catalog.ordinary),
        "safety_size_bytes": _bytes(catalog.safety),
    }


def _age(backup: Backup, now: datetime) -> float:
    return round(max(age_hours(backup, now), 0.0), 1)


def _bytes(backups: Iterable[Backup]) -> int:
    return sum(backup.size_bytes for backup in backups)
