"""The folder of a recovery sandbox on this machine, and how it is found when its run was killed.

It belongs to the user who runs PostgreSQL, and that one may have no way into the folders that are
ours. So it lies elsewhere, and its path is written into the sandbox's place among ours, before it
is made: who sweeps there finds it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from archon_ops.hosts.residents import end_residents

_RECORD = "elsewhere"
_NAME = "archon_room-"
_END_SECONDS = 20.0


def make(place: Path, scratch: Path) -> Path:
    """A new folder that is ours alone (0700); raises OSError where it cannot be made.

    Args:
        place: the sandbox's own among ours.
        scratch: where it is to lie; absolute, its links resolved.
    """
    folder = scratch / f"{_NAME}{secrets.token_hex(6)}"
    record = place / _RECORD
    record.write_text(str(folder))
    with record.open("rb") as file:
        os.fsync(file.fileno())
    folder.mkdir(0o700)
    return folder


def remove(place: Path) -> None:
    """End all that works in the folder that a place tells of, and remove it; nothing where none is.

    Raises:
        OpsError: something in it does not end.
    """
    try:
        folder = Path((place / _RECORD).read_text())
    except FileNotFoundError:
        return
    if folder.name.startswith(_NAME) and folder.is_absolute() and folder.is_dir():
        end_residents(folder, _END_SECONDS)
        shutil.rmtree(folder)
    (place / _RECORD).unlink()
