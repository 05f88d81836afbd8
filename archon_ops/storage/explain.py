"""Saying plainly what the file system refused."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.units import human_size

_RIGHTS = {errno.EACCES, errno.EPERM}
_ROOM = {errno.ENOSPC, errno.EDQUOT}
# What the user can put right before the next try; anything else is a failure of its own.
_PRECONDITIONS = (
    _RIGHTS
    | _ROOM
    | {
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)


@contextlib.contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into an error for people.

    Args:
        doing: what was tried, as in "cannot <doing> PATH".
        path: what it was tried on.

    Raises:
        PreconditionError: the user can put it right: rights, room, a missing or wrong path.
        OpsError: anything else, such as a failing disk.
    """
    try:
        yield
    except OSError as error:
        kind = PreconditionError if error.errno in _PRECONDITIONS else OpsError
        raise kind(f"cannot {doing} {path}: {_reason(error, path)}", _hint(error)) from error


def no_room(error: BaseException) -> bool:
    """Whether an error means that the disk, or the user's share of it, is full."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _ROOM


def user_name() -> str:
    """The user as whom we run."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _reason(error: OSError, path: Path) -> str:
    said = error.strerror or str(error)
    if error.errno in _RIGHTS:
        return f"{said} (as user {user_name()})"
    if error.errno == errno.EROFS:
        return f"the file system is mounted read-only (as user {user_name()})"
    if error.errno in _ROOM:
        return f"no space left ({_free(path)} free)"
    return said


def _hint(error: OSError) -> str:
    if error.errno in _RIGHTS:
        return "ls -ld shows its owner and mode; run as its owner, or choose another folder"
    if error.errno == errno.EROFS:
        return "mount it writable, or choose another folder"
    return "free some space, or choose another folder" if error.errno in _ROOM else ""


def _free(path: Path) -> str:
    existing = next(p for p in (path, *path.parents, Path("/")) if p.exists())
    room = os.statvfs(existing)
    return human_size(room.f_bavail * room.f_frsize)
