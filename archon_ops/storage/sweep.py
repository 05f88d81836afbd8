"""Clearing away what dead runs left behind; call it with the directory's lock held."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from archon_ops.storage.atomic import abandoned
from archon_ops.storage.directory import Directory
from archon_ops.storage.explain import explained
from archon_ops.storage.folders import fsync_folder
from archon_ops.storage.names import dump_of, is_temporary
from archon_ops.storage.plaintext import sweep_plaintext


def sweep(directory: Directory) -> tuple[Path, ...]:
    """Remove temporary files that nobody writes any more, and sidecars that have no dump.

    A backup is committed by its dump's name and removed beginning with its dump, so a manifest
    alone is half a backup that never came to be, or half a removal. Names that are not ours are
    left alone.

    Returns:
        What was removed.

    Raises:
        PreconditionError: the directory refuses.
    """
    folders = (directory.path, directory.safety)
    removed = [path for folder in folders for path in _removed(folder, _orphans(folder))]
    for folder in (*folders, directory.ops, directory.ops / "runs"):
        removed.extend(sweep_temporary(folder))
    removed.extend(sweep_plaintext(directory.ops))
    return tuple(removed)


def sweep_temporary(folder: Path) -> tuple[Path, ...]:
    """Remove temporary files of ours in one folder that nobody writes any more.

    Raises:
        PreconditionError: the folder refuses.
    """
    with explained("sweep", folder):
        left = [p for p in _files(folder) if is_temporary(p.name) and abandoned(p)]
    return _removed(folder, left)


def _orphans(folder: Path) -> list[Path]:
    with explained("sweep", folder):
        return [p for p in _files(folder) if _is_orphan(p)]


def _is_orphan(path: Path) -> bool:
    dump = dump_of(path.name)
    return dump is not None and not os.path.lexists(path.with_name(dump))


def _files(folder: Path) -> Iterator[Path]:
    """The regular files of a folder; nothing where it does not exist."""
    try:
        found = list(folder.iterdir())
    except FileNotFoundError:
        return
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def _removed(folder: Path, paths: list[Path]) -> tuple[Path, ...]:
    for path in paths:
        with explained("remove", path):
            path.unlink(missing_ok=True)
    if paths:
        with explained("sweep", folder):
            fsync_folder(folder)
    return tuple(paths)
