"""What runs by itself: old lines that still call the former scripts, and ours."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import OpsError
from archon_ops.hosts import process
from archon_ops.model.diagnosis import Check, Finding, shell

_SECONDS = 10.0
_OLD = re.compile(r"\b(?:backup|restore|start|stop)-archon\.sh\b")
_OURS = re.compile(r"\b(?:inv|invoke|archon-ops)\b['\"]?(?:\s+\S+)*?\s+backup\b")
_FOLDERS = ("cron.d", "cron.hourly", "cron.daily", "cron.weekly", "cron.monthly")
_SYSTEMD = ("systemd/system",)
_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Line:
    """A line that runs by itself, and where it stands ("crontab:3")."""

    where: str
    text: str


def gather(etc: Path = Path("/etc")) -> tuple[Line, ...]:
    """The lines of cron and of systemd's units that are no comments.

    Args:
        etc: the folder of the system's configuration.
    """
    found = [*_own_crontab(), *_file(etc / "crontab")]
    for name in (*_FOLDERS, *_SYSTEMD):
        with contextlib.suppress(OSError):
            for path in sorted((etc / name).iterdir()):
                found.extend(_file(path))
    return tuple(found)


def judge(lines: Iterable[Line], root: Path, inv: str) -> Finding:
    """Whether something still calls the former scripts.

    Args:
        lines: what runs by itself.
        root: where our commands have to be started.
        inv: options of our commands.
    """
    check = Check(
        "schedule.old",
        "dumps without manifest keep appearing, good backups are deleted",
        "crontab -l; /etc/crontab, /etc/cron.*, /etc/systemd/system",
    )
    old = [(line, match[0]) for line in lines if (match := _OLD.search(line.text))]
    if not old:
        return check.ok("nothing calls the former scripts")
    told = ", ".join(f"{line.where} calls {script}" for line, script in old[:3])
    return check.warning(
        told,
        "the former schedule was not taken out; its script deletes by name, whatever is good",
        f"take that line out, then: cd {shell(root)} && inv schedule.install{inv}",
    )


def schedules_backup(lines: Iterable[Line]) -> str:
    """Where a backup of ours runs by itself; empty where none does."""
    return next((line.where for line in lines if _OURS.search(line.text)), "")


def _own_crontab() -> Iterator[Line]:
    try:
        done = process.run(("crontab", "-l"), timeout=_SECONDS)
    except OpsError:
        return  # no cron here
    if done.returncode == 0:
        yield from _lines("crontab", done.stdout)


def _file(path: Path) -> Iterator[Line]:
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size < _LIMIT_BYTES:
            yield from _lines(str(path), path.read_text(encoding="utf-8", errors="replace"))


def _lines(where: str, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield Line(f"{where}:{number}", line)
