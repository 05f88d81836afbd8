"""One job run by cron: what it says goes to a log that is rotated, and never two at once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from archon_ops.errors import LockedError, UsageError
from archon_ops.hosts import process
from archon_ops.model.timers import Job
from archon_ops.settings import own_variables
from archon_ops.storage.explain import explained
from archon_ops.storage.folders import ensure_folder

_LIMIT = 1 << 20
_KEPT = 5
_LONGEST_SECONDS = 24 * 3600.0


def run(job: Job | None, name: str, log: Path) -> int:
    """Run a job to its end.

    Args:
        job: what is to be done.
        name: as it was asked for.
        log: what it says is appended there.

    Returns:
        Its exit status.

    Raises:
        UsageError: there is no such job.
        LockedError: the last one has not ended yet.
    """
    if job is None:
        raise UsageError(f"there is no job {name!r}", "inv schedule shows them")
    for folder in (log.parent.parent, log.parent):
        ensure_folder(folder)
    with explained("write", log):
        lock = os.open(log.with_suffix(f".{name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        _lock(lock, name)
        rotate(log)
        with explained("write", log):
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        # It is ourselves that is run: of our own settings nothing is kept from it.
        ours = {key: value.get_secret_value() for key, value in own_variables().items()}
        return process.attach(job.argv, timeout=_LONGEST_SECONDS, env=ours)
    finally:
        os.close(lock)


def rotate(log: Path) -> None:
    """Let a log that has grown large begin anew; a few old ones stay."""
    with explained("rotate", log):
        if not log.exists() or log.stat().st_size < _LIMIT:
            return
        for number in range(_KEPT - 1, 0, -1):
            old = log.with_name(f"{log.name}.{number}")
            if old.exists():
                old.replace(log.with_name(f"{log.name}.{number + 1}"))
        log.replace(log.with_name(f"{log.name}.1"))


def _lock(fd: int, name: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(f"the last {name} has not ended yet") from error
