"""What a snapshot knows of single backups and runs, as rows."""

from __future__ import annotations

from typing import Any

from archon_ops.model import runs
from archon_ops.model.runs import Result, RunRecord
from archon_ops.model.units import human_duration, zulu
from archon_ops.monitor.snapshot import Snapshot

BACKUP_COLUMNS = ("name", "snapshot", "age", "size", "trust", "verified", "how", "rows")
RUN_COLUMNS = ("run", "at", "ended", "took", "what came of it")
_ALWAYS = ("drill", "verify", "restore", "rehearse")
_LAST = 50


def backup_rows(found: Snapshot) -> list[tuple[str, ...]]:
    """A row for each backup, safety ones last."""
    answer: dict[str, Any] = found.listing
    return [
        (
            entry["filename"],
            entry["timestamp_utc"],
            f"{entry['age_hours']}h",
            entry["size_human"],
            entry["trust"],
            entry["verified_at"] or "-",
            entry["verified_how"] or "-",
            "-" if entry["rows"] is None else str(entry["rows"]),
        )
        for entry in (*answer["backups"], *answer["safety_backups"])
    ]


def run_rows(found: Snapshot) -> list[tuple[str, ...]]:
    """A row for each run that proved something, or failed; newest first."""
    told = [r for r in found.records if r.action in _ALWAYS or r.result is not Result.DONE]
    return [_run_row(record) for record in told[:_LAST]]


def _run_row(record: RunRecord) -> tuple[str, ...]:
    took = "-" if record.seconds is None else human_duration(record.seconds)
    ended = "refused" if record.refused else record.result.value
    return record.action, zulu(record.started_at), ended, took, _outcome(record)


def _outcome(record: RunRecord) -> str:
    if record.action == "drill" and record.result is Result.DONE:
        seconds = runs.recovery_seconds(record)
        recovered = "" if seconds is None else f", recovered in {human_duration(seconds)}"
        return f"{runs.verdict(record)} {record.details.get('runbook') or ''}{recovered}"
    verified = record.details.get("verified")
    if isinstance(verified, dict):
        return ", ".join(f"{name}: {said}" for name, said in verified.items())
    return record.reason or str(record.details.get("backup") or "")
