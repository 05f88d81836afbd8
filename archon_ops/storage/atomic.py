"""Writing so that a name appears with its whole content, or not at all, whatever kills us.

A temporary file holds a lock on itself while its writer lives. So the sweep can tell what a dead
run left from what a living one is writing, on any host and in any container that shares the folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from archon_ops.errors import PreconditionError
from archon_ops.storage.explain import explained
from archon_ops.storage.folders import fsync_folder

TEMP_PREFIX = ".tmp-"
FILE_MODE = 0o600
# What a file system says that knows no hard links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


class Temporary:
    """A file under a temporary name, 0600 whatever the umask; gone at the end if not published.

    Args:
        folder: where its final name will be.
        run_id: who writes it; part of the temporary name.
        suffix: end of the temporary name, for programs that go by it.

    Raises:
        PreconditionError: the folder refuses.
    """

    def __init__(self, folder: Path, run_id: str, suffix: str = "") -> None:
        with explained("write in", folder):
            self.path, self._fd = _create(folder, run_id, suffix)
        self._named = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not self._named:
                with explained("remove", self.path):
                    self.path.unlink(missing_ok=True)
        finally:
            os.close(self._fd)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; nothing is buffered here, so give large blocks.

        Raises:
            PreconditionError: no space is left.
            OpsError: the disk failed.
        """
        left = memoryview(data)
        with explained("write", self.path):
            while left:
                left = left[os.write(self._fd, left) :]

    def sync(self) -> None:
        """Bring everything to the disk."""
        with explained("write", self.path):
            os.fsync(self._fd)

    def set_modified(self, seconds: float) -> None:
        """Set the time of last modification (seconds since the epoch)."""
        with explained("write", self.path):
            os.utime(self._fd, (seconds, seconds))

    def publish(self, final: Path) -> None:
        """Give it its name, which must be free, and bring that to the disk too.

        Raises:
            PreconditionError: the name is taken: nothing is ever overwritten.
        """
        self.sync()
        with explained("name", final):
            try:
                _move_without_overwriting(self.path, final)
            except FileExistsError as error:
                raise PreconditionError(f"{final} exists already and is not overwritten") from error
            self._named = True
            fsync_folder(final.parent)

    def replace(self, final: Path) -> None:
        """Give it its name in place of what bears it now, if anything does."""
        self.sync()
        with explained("name", final):
            self.path.replace(final)
            self._named = True
            fsync_folder(final.parent)

    def keep(self, final: Path) -> None:
        """Give it a name at once; after a loss of power what bears it may be cut short."""
        with explained("name", final):
            self.path.replace(final)
            self._named = True


def write_atomic(path: Path, data: bytes, run_id: str, *, overwrite: bool = False) -> None:
    """Write a small file whole, durable and 0600.

    Raises:
        PreconditionError: the folder refuses, no space is left, or the name is taken.
    """
    with Temporary(path.parent, run_id) as temporary:
        temporary.write(data)
        if overwrite:
            temporary.replace(path)
        else:
            temporary.publish(path)


def abandoned(path: Path) -> bool:
    """Whether nobody writes a temporary file any more."""
    try:
        # For writing: a network file system grants no exclusive lock to a reader.
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _create(folder: Path, run_id: str, suffix: str) -> tuple[Path, int]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        path = folder / f"{TEMP_PREFIX}{run_id}-{secrets.token_hex(4)}{suffix}"
        fd = os.open(path, flags, FILE_MODE)
        try:
            os.fchmod(fd, FILE_MODE)
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        if os.fstat(fd).st_nlink:
            return path, fd
        os.close(fd)  # a sweep took it between its birth and its lock


def _move_without_overwriting(source: Path, final: Path) -> None:
    """Rename, but fail if the name is taken: a link cannot replace anything."""
    try:
        os.link(source, final, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, "exists", str(final)) from error
        source.rename(final)
    else:
        source.unlink()
