"""The processes that work in a folder, by the kernel's own word, and their end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from archon_ops.errors import OpsError

_PROCESSES = Path("/proc")
_KILL_SECONDS = 15.0


def end_residents(folder: Path, seconds: float) -> None:
    """End every process that works in this folder, or was told of a file in it.

    The latter only of the folder's owner: in a container root may not see where others work.
    They are asked as PostgreSQL is told to drop everything (SIGQUIT): its first process then
    removes what it shares with its children. Whoever stays is killed. A process id names nobody
    for long: each is held by its descriptor before it is looked at, so no other is ever hit.

    Args:
        folder: absolute, its links resolved.
        seconds: how long they may take before they are killed.

    Raises:
        OpsError: one is still there.
    """
    for how, patience in ((signal.SIGQUIT, seconds), (signal.SIGKILL, _KILL_SECONDS)):
        end = time.monotonic() + patience
        while _told_to_end(folder, how, end):
            if time.monotonic() > end:
                break
        else:
            return
    raise OpsError(f"processes in {folder} do not end", f"fuser -v {folder}")


def _told_to_end(folder: Path, how: signal.Signals, end: float) -> bool:
    """Whether any was there; each has been told, and has ended, or the time is up."""
    with contextlib.ExitStack() as held:
        found = [held.enter_context(one) for one in _residents(folder)]
        for descriptor in found:
            _send(descriptor, how)
        for descriptor in found:
            select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        return bool(found)


def _residents(folder: Path) -> Iterator[contextlib.AbstractContextManager[int]]:
    """Descriptors of those that are there now."""
    for process in _PROCESSES.iterdir() if _PROCESSES.is_dir() else ():
        if process.name.isdecimal() and (descriptor := _held(process, folder)) is not None:
            yield _closing(descriptor)


def _held(process: Path, folder: Path) -> int | None:
    """A descriptor of that process; None where it is no resident, or gone."""
    if not _works_in(process, folder):  # most do not, and a descriptor each would be too many
        return None
    try:
        descriptor = os.pidfd_open(int(process.name))
    except ProcessLookupError:
        return None
    # It is this process that has to be there: before, the number may have been another's.
    if _works_in(process, folder):
        return descriptor
    os.close(descriptor)
    return None


def _works_in(process: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):  # it is gone, or we may not see that
        if (process / "cwd").readlink().is_relative_to(folder):
            return True
    with contextlib.suppress(OSError):
        told = (process / "cmdline").read_bytes()
        return process.stat().st_uid == folder.stat().st_uid and f"{folder}/".encode() in told
    return False


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _send(descriptor: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, how)
