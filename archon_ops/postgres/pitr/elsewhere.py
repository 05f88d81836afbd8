"""The folder of a recovery sandbox on this machine, and how it is found when its run was killed.

It belongs to the user who runs PostgreSQL, and that one may have no way into the folders that are
ours. So it lies elsewhere, and its path is written into the sandbox's place among ours, before it
is made: who sweeps there finds it. A lock in it tells that its run lives: a copy of our folders
names it as well.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from archon_ops.hosts import flock
from archon_ops.hosts.residents import end_residents

_RECORD, _ALIVE = "elsewhere", "alive.lock"
_NAME = "archon_room-"
_END_SECONDS = 20.0


@contextlib.contextmanager
def made(place: Path, scratch: Path) -> Iterator[Path]:
    """A new folder that is ours alone (0700) for the length of the block; then nothing is left.

    Args:
        place: the sandbox's own among ours.
        scratch: where it is to lie; absolute, its links resolved.

    Raises:
        OSError: it cannot be made.
        OpsError: something in it does not end.
    """
    folder = scratch / f"{_NAME}{secrets.token_hex(6)}"
    record = place / _RECORD
    record.write_text(str(folder))
    with record.open("rb") as file:
        os.fsync(file.fileno())
    folder.mkdir(0o700)
    alive = flock.open_lock(folder / _ALIVE)
    try:
        flock.take(alive)
        yield folder
    finally:
        try:
            _remove(folder)
            record.unlink()
        finally:
            os.close(alive)


def sweep(place: Path) -> None:
    """Remove the folder that the place of a dead run tells of; nothing where none is.

    Raises:
        OpsError: something in it does not end.
    """
    try:
        folder = Path((place / _RECORD).read_text())
    except FileNotFoundError:
        return
    if not (folder.name.startswith(_NAME) and folder.is_absolute() and folder.is_dir()):
        return
    alive = flock.open_lock(folder / _ALIVE)
    try:
        if flock.take(alive):
            _remove(folder)
    finally:
        os.close(alive)


def _remove(folder: Path) -> None:
    end_residents(folder, _END_SECONDS)
    shutil.rmtree(folder)
