"""A folder for what is decrypted only to be restored: gone afterwards, or at the next run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from archon_ops.storage.explain import explained
from archon_ops.storage.folders import ensure_folder

_PREFIX = "opened-"


@contextlib.contextmanager
def plaintext_folder(ops: Path, run_id: str) -> Iterator[Path]:
    """A folder that only we can enter, for the length of the block.

    A lock on it tells other runs that we live.

    Args:
        ops: folder that it is made in.
        run_id: who uses it.
    """
    folder = ops / f"{_PREFIX}{run_id}"
    ensure_folder(folder)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield folder
    finally:
        with explained("remove", folder):
            shutil.rmtree(folder)
        os.close(fd)


def sweep_plaintext(ops: Path) -> tuple[Path, ...]:
    """Remove such folders of dead runs; returns them.

    Raises:
        PreconditionError: the folder refuses.
    """
    left = [folder for folder in ops.glob(f"{_PREFIX}*") if _abandoned(folder)]
    for folder in left:
        with explained("remove", folder):
            shutil.rmtree(folder)
    return tuple(left)


def _abandoned(folder: Path) -> bool:
    with explained("look at", folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
