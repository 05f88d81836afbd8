"""What a user means by `latest`, by a bare name, and by a path."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.model.backup import Backup
from archon_ops.model.dump_names import DUMP_SUFFIX
from archon_ops.storage.directory import Directory, load
from archon_ops.storage.explain import explained
from archon_ops.storage.files import kind_of
from archon_ops.storage.names import printable, shown

LATEST = "latest"
_LIST_HINT = "inv backups lists what there is"


@dataclass(frozen=True)
class Located:
    """A backup, and where it lies.

    Attributes:
        path: absolute path of the dump.
        backup: what is known of it.
        inside: whether it lies in the source's own backup directory.
        origin: the place offsite that it was fetched from; empty where it lies here.
    """

    path: Path
    backup: Backup
    inside: bool
    origin: str = ""


def resolve(directory: Directory, reference: str) -> Located:
    """Find the backup that a user named.

    Args:
        directory: the source's backup directory.
        reference: "latest", the bare name of a listed dump, or a path with a separator in it.

    Raises:
        UsageError: it is no usable reference, or names something that is no regular file.
        PreconditionError: there is nothing of that name.
    """
    if not reference or not printable(reference):
        raise UsageError(f"{reference!a} is not the name of a backup", _LIST_HINT)
    if reference == LATEST:
        return _latest(directory)
    if os.sep in reference:
        return _by_path(directory, Path(reference))
    return _by_name(directory, reference)


def _latest(directory: Directory) -> Located:
    catalog = directory.catalog()
    backup = catalog.latest()
    if backup is not None:
        return Located(_absolute(directory.path_of(backup)), backup, inside=True)
    others = len(catalog.ordinary)
    if others:
        raise PreconditionError(
            f"no backup of this tool in {directory.path}, only {others} dump(s) without a manifest",
            "inv backup makes one; or name one of those and add --trust",
        )
    raise PreconditionError(f"no backups in {directory.path}", "inv backup")


def _by_name(directory: Directory, name: str) -> Located:
    if name in (os.curdir, os.pardir):
        raise UsageError(f"{name!r} is a folder, not a backup", _LIST_HINT)
    listing = directory.scan()
    found = [backup for backup in listing.backups if backup.name == name]
    if found:
        backup = min(found, key=lambda candidate: candidate.safety)
        return Located(_absolute(directory.path_of(backup)), backup, inside=True)
    odd = next((oddity for oddity in listing.oddities if oddity.name == name), None)
    if odd is not None:
        raise UsageError(f"{name} in {directory.path} is not a dump but {odd.what}", _LIST_HINT)
    raise PreconditionError(f"no backup {name!r} in {directory.path}", _name_hint(name))


def _by_path(directory: Directory, path: Path) -> Located:
    if os.pardir in path.parts:
        raise UsageError(
            f"{path} climbs out of a folder with '..'", f"write it whole: {path.resolve()}"
        )
    with explained("find", path):
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} is not a dump but {kind_of(mode)}", _LIST_HINT)
        absolute = _absolute(path)
        safety = _same_folder(absolute.parent, directory.safety)
        inside = safety or _same_folder(absolute.parent, directory.path)
        return Located(absolute, load(absolute, safety=safety), inside)


def _absolute(path: Path) -> Path:
    """Absolute, with the folder's symlinks resolved; the last part is known to be none."""
    return path.parent.resolve() / path.name


def _same_folder(one: Path, other: Path) -> bool:
    return other.is_dir() and one.samefile(other)


def _name_hint(name: str) -> str:
    if os.path.lexists(name):
        return f"for a file in the working directory write .{os.sep}{shown(name)}"
    if not name.endswith(DUMP_SUFFIX):
        return f"a dump's name ends in {DUMP_SUFFIX}; {_LIST_HINT}"
    return _LIST_HINT
