"""The folder of a server's socket: short, private, outside of the cluster, found by a record in it.

A socket's path holds 107 bytes and a path inside PostgreSQL 1023; a cluster's own may be longer. So
the folder also has a link, `home`, by which PostgreSQL reaches the cluster on a short path.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archon_ops.errors import PreconditionError

PORT = 5432  # only names the socket; every server has a folder of its own

_PREFIX = "archon-pg-"
# The shortest limit of all systems (macOS), without the terminating zero.
_PATH_BYTES = 103
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")
_ANSWER_SECONDS = 3.0


def recorded(cluster: Path) -> Path | None:
    """The socket folder that the cluster's record names; None if there is none, or it is gone."""
    try:
        folder = Path((cluster / "socket").read_text())
    except FileNotFoundError:
        return None
    return folder if folder.name.startswith(_PREFIX) and folder.is_dir() else None


@contextlib.contextmanager
def fresh(cluster: Path) -> Iterator[Path]:
    """A new socket folder, recorded; it stays after the block, unless the block fails.

    Yields:
        A short path to the cluster; its parent is the socket folder.
    """
    sweep(cluster)
    folder = Path(_base()) / f"{_PREFIX}{secrets.token_hex(4)}"
    # Recorded before it is made: whoever is killed in between leaves no folder that nobody knows.
    record = os.open(cluster / "socket", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(record, "w") as file:
        file.write(str(folder))
    folder.mkdir(mode=0o700)
    try:
        short = folder / "home"
        short.symlink_to(cluster, target_is_directory=True)
        yield short
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sweep(cluster: Path) -> None:
    """Remove the recorded socket folder; its server is gone."""
    folder = recorded(cluster)
    # In a copy of a cluster the record still names the original's folder, perhaps in use.
    if folder is not None and _is_private(folder) and not _listening(folder):
        shutil.rmtree(folder)
    (cluster / "socket").unlink(missing_ok=True)


def has_socket(folder: Path) -> bool:
    """Whether the socket is still there; cleaners of /tmp delete what looks old."""
    return (folder / f".s.PGSQL.{PORT}").exists()


def check_private(folder: Path) -> None:
    """Make sure that nobody else can put a server of his own in there.

    Raises:
        PreconditionError: the folder is another user's, or open to others, or a link.
    """
    if not _is_private(folder):
        raise PreconditionError(
            f"the socket folder {folder} is not ours alone: somebody else may listen in it",
            f"find out who did that, then: chmod 700 {folder}",
        )


def _base() -> str:
    """The folder for temporary files, if a socket in it has a path that libpq understands.

    Long ones do not fit, and libpq takes a comma for a list of hosts.
    """
    base = tempfile.gettempdir()
    longest = f"{base}/{_PREFIX}12345678/.s.PGSQL.{PORT}.lock"
    fits = len(longest) <= _PATH_BYTES and set(base) <= _PLAIN
    return base if fits else "/tmp"  # noqa: S108 - a 0700 folder of a random name is made in it


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )


def _listening(folder: Path) -> bool:
    """Whether a server holds the socket open, even a frozen one."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        try:
            probe.connect(str(folder / f".s.PGSQL.{PORT}"))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True
