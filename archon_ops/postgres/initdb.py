"""Making and deleting a cluster's data directory: it has its name only while it is whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from archon_ops.errors import LockedError, OpsError
from archon_ops.hosts import process
from archon_ops.postgres import socket_folder
from archon_ops.postgres.postmaster import SUPERUSER, Postmaster, wait_until

_LOCALES = ("C.UTF-8", "C")  # not every system has the first
_NEW = "new-"
_OLD = "old-"


def make(server: Postmaster, *, durable: bool, deadline: float) -> None:
    """Make the data directory; what killed commands left half made goes first.

    Args:
        server: whose data directory it will be.
        durable: whether it must be on disk when this returns.
        deadline: seconds for initdb, and for one that a killed command left behind.

    Raises:
        OpsError: initdb failed.
        LockedError: another initdb does not come to an end.
    """
    # initdb inherits the lock: one that outlives its caller is waited for, not trampled on.
    if not wait_until(lambda: not server.alive(), deadline):
        raise LockedError(f"a process of PostgreSQL is still at work in {server.folder}")
    sweep(server.folder)
    with server.own_lock() as lock:
        keep = () if lock is None else (lock,)
        for locale in _LOCALES:
            done = _run(server, locale, keep, durable=durable, deadline=deadline)
            if done.returncode == 0:
                return
    raise OpsError(f"initdb failed in {server.folder}: {done.reason}")


def delete(server: Postmaster) -> None:
    """Delete the data directory; its server must have ended."""
    if server.data.exists():
        # Out of the way in one step: half of a cluster must not look like one.
        server.data.replace(tempfile.mkdtemp(prefix=_OLD, dir=server.folder))
    sweep(server.folder)


def sweep(folder: Path) -> None:
    """Remove what was left half made or half deleted."""
    for prefix in (_NEW, _OLD):
        for left in folder.glob(f"{prefix}*"):
            shutil.rmtree(left)


def _run(
    server: Postmaster, locale: str, keep: tuple[int, ...], *, durable: bool, deadline: float
) -> process.Finished:
    new = Path(tempfile.mkdtemp(prefix=_NEW, dir=server.folder))
    with socket_folder.fresh(server.folder) as short:
        argv = server.tools.server_argv(
            "initdb",
            f"--pgdata={short / new.name}",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            f"--locale={locale}",
            "--auth=trust",  # whoever reaches the socket is us: its folder is 0700
            "--data-checksums",
            *(() if durable else ("--no-sync",)),
        )
        done = process.run(argv, timeout=deadline, keep=keep)
    socket_folder.sweep(server.folder)
    if done.returncode == 0:
        new.rename(server.data)
        _sync(server.folder)
    return done


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
