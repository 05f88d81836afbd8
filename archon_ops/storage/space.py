"""How much room a file system has left."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from archon_ops.storage.explain import explained


def free_bytes(path: Path) -> int:
    """Bytes that this user can still write on the file system of `path`.

    Raises:
        PreconditionError: there is no such path.
    """
    return room(path).free_bytes


@dataclass(frozen=True)
class Room:
    """How a file system stands.

    Attributes:
        used_bytes: written on it.
        free_bytes: that this user can still write.
    """

    used_bytes: int
    free_bytes: int

    @property
    def used_percent(self) -> float:
        """How full it is for this user, one decimal, as df counts."""
        usable = self.used_bytes + self.free_bytes
        return round(100 * self.used_bytes / usable, 1) if usable else 100.0


def room(path: Path) -> Room:
    """How the file system of `path` stands.

    Raises:
        PreconditionError: there is no such path.
    """
    with explained("look at", path):
        found = os.statvfs(path)
    return Room((found.f_blocks - found.f_bfree) * found.f_frsize, found.f_bavail * found.f_frsize)
