"""Locks that the kernel forgets by itself when their holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

_POLL_SECONDS = 0.02


def open_lock(path: Path) -> int:
    """An open lock file (0600), made if it is missing; the caller closes it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def take(lock: int, *, shared: bool = False) -> bool:
    """Try to lock an open file, at once; True when it is ours."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def held(path: Path, *, timeout: float) -> Iterator[bool]:
    """Hold a lock file exclusively inside the block.

    Args:
        path: the lock file; a holder may delete it, then the next one makes it anew.
        timeout: seconds to wait for it.

    Yields:
        False if it did not come within the deadline; the block then runs without it.
    """
    lock = _wait(path, time.monotonic() + timeout)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _wait(path: Path, end: float) -> int | None:
    while True:
        lock = open_lock(path)
        try:
            # Whoever waited for a file that its holder then deleted has locked nothing.
            if take(lock) and _is(path, lock):
                mine, lock = lock, -1
                return mine
        finally:
            if lock >= 0:
                os.close(lock)
        if time.monotonic() > end:
            return None
        time.sleep(_POLL_SECONDS)


def _is(path: Path, lock: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False
