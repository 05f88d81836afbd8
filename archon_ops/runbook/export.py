"""An audit pack: the runs of a period, with what it takes to check them, and how that is done."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.model.units import human_duration, zulu
from archon_ops.runbook.history import Past, history
from archon_ops.runbook.keep import reports
from archon_ops.runbook.seal import head_of
from archon_ops.site import Site
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.explain import explained
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.keys import PUBLIC, Keys, PublicKey

_TEXT = Path(__file__).with_name("export.txt")
README = "README.txt"


@dataclass(frozen=True)
class Exported:
    """A pack that was made: where, and of which runs."""

    folder: Path
    runs: tuple[Past, ...]


def export(site: Site, folder: Path, first: str | None, last: str | None) -> Exported:
    """Pack the runs that began in a period.

    Args:
        site: whose evidence.
        folder: made; it must not exist yet.
        first: first day, YYYY-MM-DD, UTC; None: from the beginning.
        last: last day, included; None: until now.

    Raises:
        UsageError: a day is malformed, or the last is before the first.
        PreconditionError: the folder exists, there is no such run, or no key.
    """
    begin, end = _day(first, date.min), _day(last, date.max)
    if end < begin:
        raise UsageError(f"--to {last} is before --from {first}")
    chosen = tuple(p for p in history(reports(site)) if _within(p, begin, end))
    key = Keys(site.settings.state).public()
    if not chosen or key is None:
        raise PreconditionError(
            f"there is no evidence of that period in {reports(site)}", "inv evidence lists all runs"
        )
    if os.path.lexists(folder):
        raise PreconditionError(f"{folder} exists already", "name a folder that does not exist yet")
    ensure_folder(folder)
    for past in chosen:
        with explained("copy the run to", folder):
            shutil.copytree(past.folder, folder / past.run)
    write_atomic(folder / PUBLIC, key.pem, site.run_id)
    write_atomic(folder / README, _readme(site, chosen, key).encode(), site.run_id)
    return Exported(folder, chosen)


def _day(text: str | None, default: date) -> date:
    try:
        return date.fromisoformat(text) if text is not None else default
    except ValueError:
        raise UsageError(f"{text!r} is not a day", "write it like 2026-01-31") from None


def _within(past: Past, begin: date, end: date) -> bool:
    return past.started_at is not None and begin <= past.started_at.date() <= end


def _readme(site: Site, runs: tuple[Past, ...], key: PublicKey) -> str:
    head = head_of(site.settings.state)
    width = max(len(past.run) for past in runs)
    values = {
        "source": site.display_name,
        "made_at": zulu(site.clock()),
        "fingerprint": key.fingerprint,
        "head": f"run {head.number}, SHA-256 {head.sha256}" if head else "not known",
        "first": runs[0].run,
        "runs": "\n".join(
            f"    {past.run.ljust(width)}  {past.verdict.ljust(12)}  {_took(past)}" for past in runs
        ),
    }
    text = _TEXT.read_text()
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _took(past: Past) -> str:
    return "-" if past.recovery_seconds is None else human_duration(past.recovery_seconds)
