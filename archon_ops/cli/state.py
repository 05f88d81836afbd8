"""A snapshot of a source's backups as rows for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from archon_ops.model.units import human_size
from archon_ops.monitor.pitr import window_text

if TYPE_CHECKING:
    from archon_ops.monitor.snapshot import Snapshot

Row = tuple[str, str]


def warnings(found: Snapshot) -> Iterator[str]:
    """What is wrong in the directory, a line each."""
    for odd in found.oddities:
        yield f"ignored {odd.name}: {odd.what}"
    for backup in found.catalog.newest_first:
        for problem in (
            *backup.problems,
            *([backup.verify_problem] if backup.verify_problem else []),
        ):
            yield f"{backup.name}: {problem}"


def status_rows(found: Snapshot) -> list[Row]:
    """Name and value of what a person looks for, in the order of the document."""
    answer: dict[str, Any] = found.status
    percent = answer["disk_usage_percent"]
    return [
        ("health", f"{answer['health']}: {answer['health_message']}"),
        ("latest", _with(answer["latest_filename"], answer["latest_backup_utc"])),
        ("size", str(answer["size_human"])),
        ("trust", str(answer["trust"] or "-")),
        ("verified", _with(answer["verified_at"], answer["verified_how"])),
        ("backups", f"{answer['count']}/{answer['max_retention']}"),
        ("location", str(answer["location"])),
        ("disk used", "-" if percent is None else f"{percent} %"),
        ("thresholds", _thresholds(answer["thresholds"])),
        *_several(answer, "not_covered", "health_reasons", "problems"),
        *_pitr(found),
        *_runs(answer),
    ]


def _pitr(found: Snapshot) -> Iterator[Row]:
    if found.pitr:
        yield "any moment", window_text(found.pitr)
    if found.concern:
        yield "any moment", found.concern.text


def _several(answer: dict[str, Any], *keys: str) -> Iterator[Row]:
    for key in keys:
        for value in answer[key]:
            yield key.replace("_", " "), str(value)


def _runs(answer: dict[str, Any]) -> Iterator[Row]:
    for failing in answer["failing"]:
        said = f"{failing['action']} {failing['result']} {failing['at']}"
        yield "last run", f"{said}: {failing['reason']}"
    if drill := answer["last_drill"]:
        yield "last drill", f"{drill['verdict']} {drill['at']} {drill['runbook'] or ''}".rstrip()
    for push in answer["offsite"]:
        backups = push["backups"][-1] if push["backups"] else "nothing"
        yield "offsite", f"{push['place']} {push['result']} {push['at']}: {backups}"
    for channel in answer["channels"]:
        if not channel["arrived"]:
            yield "channel", f"{channel['channel']}: {channel['problem']} ({channel['at']})"
    if kept := answer["kept"]:
        yield "kept for undo", f"{kept['name']} ({human_size(int(kept['size_bytes']))})"


def _thresholds(ages: dict[str, Any]) -> str:
    hours = "/".join(f"{ages[f'{name}_hours']:g}h" for name in ("aging", "outdated", "critical"))
    return f"{hours} (from {ages['basis']})"


def _with(value: object, more: object) -> str:
    return f"{value} ({more})" if value else "-"
