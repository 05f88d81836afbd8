"""Where a kernel's sockets lie: a private folder, gone after the run, however that ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archon_ops.hosts import flock

_PREFIX = "archon-kernel-"
_MAKING, _ALIVE = "making.lock", "alive.lock"


@contextlib.contextmanager
def burrow() -> Iterator[str]:
    """A folder with a short path, because a socket's is limited to 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = flock.open_lock(folder / _MAKING)
    flock.take(lock)
    (folder / _MAKING).rename(folder / _ALIVE)  # only now does a sweeper look whether it is held
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep() -> None:
    """Remove the folders of runs that were killed; nobody else's, and none that is in use."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another one sweeps as well
            if folder.lstat().st_uid == os.geteuid() and (folder / _ALIVE).is_file():
                _remove(folder)


def _remove(folder: Path) -> None:
    lock = flock.open_lock(folder / _ALIVE)
    try:
        if flock.take(lock):
            shutil.rmtree(folder)
    finally:
        os.close(lock)
