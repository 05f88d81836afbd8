"""Making folders that only we can enter, and bringing their names to the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from archon_ops.errors import PreconditionError
from archon_ops.storage.explain import explained

FOLDER_MODE = 0o700


def fsync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, as far as its file system can do that."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # as some network ones say
            raise
    finally:
        os.close(fd)


def ensure_folder(path: Path) -> None:
    """Make a folder, 0700 whatever the umask; one that exists stays as it is.

    Raises:
        PreconditionError: its parent is missing or refuses, or it is something else.
    """
    with explained("make the folder", path):
        try:
            path.mkdir(FOLDER_MODE)
        except FileExistsError:
            if not path.is_dir():
                raise PreconditionError(f"{path} is not a folder") from None
            return
        path.chmod(FOLDER_MODE)
        fsync_folder(path.parent)
