"""Reading files with care: regular ones only, in large blocks, within limits."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from archon_ops.model.units import human_size
from archon_ops.storage.explain import explained

BLOCK = 1 << 20
Progress = Callable[[int, int], None]


class NotRegularError(OSError):
    """What was to be read is no regular file; `strerror` says what it is."""


def kind_of(mode: int) -> str:
    """What a file is, from `st_mode`: "a folder", "a symbolic link", "a regular file" ..."""
    kinds = (
        (stat.S_ISREG, "a regular file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((text for test, text in kinds if test(mode)), "an unknown kind of file")


def open_regular(path: Path) -> int:
    """Open a regular file for reading; never follows a last symlink, never waits on a pipe.

    Raises:
        NotRegularError: it is something else.
        OSError: it cannot be opened.
    """
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):  # a device is not even opened: that can have effects
        raise NotRegularError(errno.ELOOP, f"it is {kind_of(mode)}", str(path))
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):  # exchanged since
        os.close(fd)
        raise NotRegularError(errno.ELOOP, f"it is {kind_of(mode)}", str(path))
    return fd


def read_limited(path: Path, limit: int) -> bytes:
    """The whole of a small regular file.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer than `limit` bytes.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"longer than {human_size(limit)}", str(path))
    return data


def blocks(path: Path, *, cold: bool = False) -> Iterator[bytes]:
    """The bytes of a regular file, in blocks of 1 MB, read ahead by the kernel.

    Args:
        path: the file.
        cold: let go of cached pages first, so that clean ones come from the disk itself.

    Raises:
        OSError: it cannot be read.
    """
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        if cold:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while block := file.read(BLOCK):
            yield block


def sha256_of(
    path: Path, progress: Progress | None = None, *, cold: bool = False
) -> tuple[str, int]:
    """Digest and length of a regular file.

    Args:
        path: the file; a symlink is refused.
        progress: called with bytes done and bytes in all after every block.
        cold: see `blocks`.

    Returns:
        SHA-256 in hexadecimal, number of bytes.

    Raises:
        PreconditionError: it cannot be opened.
        OpsError: it cannot be read to its end.
    """
    digest, done = hashlib.sha256(), 0
    with explained("read", path):
        total = os.lstat(path).st_size
        for block in blocks(path, cold=cold):
            digest.update(block)
            done += len(block)
            if progress:
                progress(done, total)
    return digest.hexdigest(), done
