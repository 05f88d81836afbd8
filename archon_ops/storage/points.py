"""Sizes over time, kept apart from the backups: retention removes those, and their manifests.

One line of JSON a point in .ops/sizes.jsonl, only ever appended to, with the directory's lock held.
A line that a dying run left half written is skipped, and told.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.model.history import Point
from archon_ops.storage.atomic import FILE_MODE
from archon_ops.storage.directory import Directory
from archon_ops.storage.explain import explained
from archon_ops.storage.files import read_limited
from archon_ops.storage.folders import ensure_folder

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SIZE_LIMIT = 256 << 20
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def points_path(directory: Directory) -> Path:
    """Where the points lie."""
    return directory.ops / "sizes.jsonl"


def append(directory: Directory, point: Point) -> None:
    """Add a point, durably.

    Raises:
        PreconditionError: the directory refuses, or no space is left.
    """
    ensure_folder(directory.ops)
    path = points_path(directory)
    text = json.dumps(_adapter().dump_python(point, mode="json"), separators=(",", ":"))
    with explained("write", path):
        fd = os.open(path, _FLAGS, FILE_MODE)
        try:
            os.write(fd, f"{_line_end(fd)}{text}\n".encode())
            os.fsync(fd)
        finally:
            os.close(fd)


def read(directory: Directory) -> tuple[tuple[Point, ...], int]:
    """All points that can be read, in the order in which they came, and how many cannot.

    Raises:
        PreconditionError: the file cannot be read.
    """
    path = points_path(directory)
    with explained("read", path):
        try:
            lines = read_limited(path, SIZE_LIMIT).splitlines()
        except FileNotFoundError:
            return (), 0
    found = [_parsed(line) for line in lines if line.strip()]
    points = tuple(point for point in found if point is not None)
    return points, len(found) - len(points)


def _line_end(fd: int) -> str:
    """What ends the line that a dying run left half written, if one did."""
    size = os.fstat(fd).st_size
    return "\n" if size and os.pread(fd, 1, size - 1) != b"\n" else ""


def _parsed(line: bytes) -> Point | None:
    try:
        point = _adapter().validate_json(line, strict=True)
    except ValueError:
        return None
    return point if point.at.tzinfo is not None else None


@functools.cache
def _adapter() -> TypeAdapter[Point]:
    from pydantic import TypeAdapter  # costs a tenth of a second, so only when used

    return TypeAdapter(Point)
