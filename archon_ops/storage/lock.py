"""One run at a time in a backup directory; the kernel frees the lock of whoever dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from archon_ops.errors import LockedError
from archon_ops.model.units import zulu
from archon_ops.storage.atomic import FILE_MODE
from archon_ops.storage.directory import Directory
from archon_ops.storage.explain import explained
from archon_ops.storage.folders import ensure_folder

_POLL_SECONDS = 0.1
_HOLDER_BYTES = 4096


class Lock:
    """The lock of a backup directory, held for the length of a `with` block.

    Args:
        directory: what is locked; it must exist.
        action: what the holder does, shown to those who find the lock taken.
        wait_seconds: how long to wait for another holder.
        name: of the locked file; one lock does not mind another.
    """

    def __init__(
        self, directory: Directory, action: str, wait_seconds: float = 0.0, *, name: str = "lock"
    ) -> None:
        self._directory = directory
        self._name = name
        self._action = action
        self._wait_seconds = wait_seconds
        self._fd: int | None = None

    @property
    def path(self) -> Path:
        """The locked file; it is never removed, for that would split the lock in two."""
        return self._directory.ops / self._name

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            LockedError: somebody else holds it; names the holder.
            PreconditionError: the directory refuses.
        """
        ensure_folder(self._directory.ops)
        with explained("open the lock", self.path):
            fd = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE
            )
            try:
                os.fchmod(fd, FILE_MODE)
                self._acquire(fd)
                _write(fd, _holder(self._action))
            except BaseException:
                os.close(fd)
                raise
        self._fd = fd
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd is None:
            return
        with contextlib.suppress(OSError):  # what it says of a former holder is never believed
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = None

    def _acquire(self, fd: int) -> None:
        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    message = f"{self._directory.path} is {_held_by(fd)}"
                    raise LockedError(message, "try again when that has ended") from None
            time.sleep(_POLL_SECONDS)


def _holder(action: str) -> bytes:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "action": action,
        "since": zulu(datetime.now(UTC)),
    }
    return json.dumps(holder).encode()


def _write(fd: int, data: bytes) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)


def _held_by(fd: int) -> str:
    """Who holds it, as the holder signed; it may not have done so yet."""
    try:
        holder = json.loads(os.pread(fd, _HOLDER_BYTES, 0))
        pid, action, host, since = (holder[key] for key in ("pid", "action", "host", "since"))
    except (ValueError, KeyError, TypeError):
        return "held by another run"
    where = "" if host == socket.gethostname() else f" on {host}"
    return f"held by pid {pid} ({action}){where} since {since}"
