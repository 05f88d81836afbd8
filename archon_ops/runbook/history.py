"""The runs whose evidence is kept, and how their times developed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from archon_ops.runbook import seal
from archon_ops.runbook.keep import DOCUMENT, PAGE

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Past:
    """A run as its evidence tells it; its seal is not looked at here.

    Attributes:
        run: name of its folder.
        folder: where it lies.
        runbook, source, verdict: of the run; "-" where the evidence cannot be read.
        started_at: UTC; None where that cannot be read.
        recovery_seconds: how long recovering took; None where that is not known.
        page: the page for people.
    """

    run: str
    folder: Path
    runbook: str
    source: str
    verdict: str
    started_at: datetime | None
    recovery_seconds: float | None
    page: Path


def history(reports: Path) -> tuple[Past, ...]:
    """All runs in a folder, oldest first."""
    found = (_past(folder) for folder in seal.runs(reports))
    return tuple(sorted(found, key=lambda past: past.run))


def _past(folder: Path) -> Past:
    try:
        said: dict[str, Any] = json.loads((folder / DOCUMENT).read_bytes())
        identity = said["identity"]
        return Past(
            run=folder.name,
            folder=folder,
            runbook=str(identity["runbook"]),
            source=str(identity["source"]),
            verdict=str(said["verdict"]),
            started_at=datetime.fromisoformat(said["started_at"]),
            recovery_seconds=said["objectives"]["recovery_time_seconds"],
            page=folder / PAGE,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return Past(folder.name, folder, "-", "-", "unreadable", None, None, folder / PAGE)


def trend(seconds: Iterable[float]) -> str:
    """Times as bars, oldest first, the longest as the highest."""
    values = list(seconds)
    top = max(values, default=0.0)
    if top <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[round(value / top * (len(_BARS) - 1))] for value in values)
