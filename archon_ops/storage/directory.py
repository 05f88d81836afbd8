"""The backup directory: all that is known of backups lies in it, and this reads it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Backup
from archon_ops.model.catalog import Catalog
from archon_ops.storage import manifest as manifests
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.explain import explained, user_name
from archon_ops.storage.files import kind_of
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.names import (
    OPS,
    SAFETY,
    is_dump_file,
    manifest_path,
    printable,
    shown,
    verify_path,
)
from archon_ops.storage.verifications import read_verifications

# Tells what is known of the dump at a path; whether it is a safety one.
Look = Callable[[Path, bool], Backup]


@dataclass(frozen=True)
class Oddity:
    """Something that bears a dump's name and is none: what it is; it was not opened."""

    name: str
    what: str


@dataclass(frozen=True)
class Listing:
    """What lies in a directory."""

    backups: tuple[Backup, ...]
    oddities: tuple[Oddity, ...]


@dataclass(frozen=True)
class Directory:
    """A backup directory; it need not exist yet.

    Attributes:
        path: NAME.dump, NAME.json, NAME.verify.json, safety/ and .ops/ lie in it.
        parent_is_ours: whether its parent is made along with it; else a missing one may be a disk
            that is not mounted.
    """

    path: Path
    parent_is_ours: bool = False

    @property
    def safety(self) -> Path:
        """Where backups lie that were taken before something dangerous."""
        return self.path / SAFETY

    @property
    def ops(self) -> Path:
        """Where the lock and the run records lie."""
        return self.path / OPS

    def path_of(self, backup: Backup) -> Path:
        """Where a backup of this directory lies."""
        return (self.safety if backup.safety else self.path) / backup.name

    def prepare(self) -> None:
        """Make the directory where it is missing, and try to write in it.

        Raises:
            PreconditionError: its parent is missing, or it refuses; names path and user.
        """
        with explained("look at", self.path.parent):
            there = self.path.parent.is_dir()
        if not there and self.parent_is_ours:
            ensure_folder(self.path.parent)
        elif not there:
            raise PreconditionError(
                f"cannot make {self.path} as user {user_name()}: "
                f"the folder {self.path.parent} does not exist",
                "make that folder, or choose another --backup-dir",
            )
        ensure_folder(self.path)
        with Temporary(self.path, "trial") as trial:
            trial.write(b"x")
            trial.sync()

    def prepare_safety(self) -> None:
        """Make the folder of safety backups.

        Raises:
            PreconditionError: the directory refuses.
        """
        ensure_folder(self.safety)

    def is_free(self, name: str, *, safety: bool = False) -> bool:
        """Whether a dump's name, and those of what lies beside it, are not taken."""
        dump = (self.safety if safety else self.path) / name
        return not any(map(os.path.lexists, (dump, manifest_path(dump), verify_path(dump))))

    def scan(self, look: Look | None = None) -> Listing:
        """Everything that bears a dump's name; no dump is opened.

        What vanishes in between is left out, as if it had been gone before. A missing directory
        holds nothing.

        Args:
            look: what tells of one dump; `load` by default.

        Raises:
            PreconditionError: the directory cannot be read.
        """
        look = look or load
        found = (
            *_entries(self.path, look, safety=False),
            *_entries(self.safety, look, safety=True),
        )
        return Listing(
            tuple(entry for entry in found if isinstance(entry, Backup)),
            tuple(entry for entry in found if isinstance(entry, Oddity)),
        )

    def list(self) -> tuple[Backup, ...]:
        """The backups in it, safety ones included, in no order.

        Raises:
            PreconditionError: the directory cannot be read.
        """
        return self.scan().backups

    def catalog(self) -> Catalog:
        """The same, ready to be asked."""
        return Catalog(self.list())


def load(dump: Path, safety: bool = False) -> Backup:
    """What is known of the dump at this path, without reading it.

    Raises:
        OSError: it is not there, or is no regular file.
    """
    state = os.lstat(dump)
    backup = Backup(
        name=dump.name,
        size_bytes=state.st_size,
        modified_at=datetime.fromtimestamp(state.st_mtime, UTC),
        safety=safety,
    )
    try:
        manifest = manifests.read(dump)
    except UntrustworthyError as error:
        return replace(backup, manifest_problem=error.message)
    if manifest is None:
        os.lstat(dump)  # removed in between, it must not look like a foreign dump
        return backup
    try:
        looks = read_verifications(dump)
    except UntrustworthyError as error:
        return replace(backup, manifest=manifest, verify_problem=error.message)
    return replace(backup, manifest=manifest, verifications=looks)


def _entries(folder: Path, look: Look, *, safety: bool) -> Iterator[Backup | Oddity]:
    with explained("read the folder", folder):
        try:
            found = [path for path in folder.iterdir() if is_dump_file(path.name)]
        except FileNotFoundError:
            return
    for path in found:
        with explained("look at", path), contextlib.suppress(FileNotFoundError):
            yield _entry(path, look, safety)  # not found: gone since the listing


def _entry(path: Path, look: Look, safety: bool) -> Backup | Oddity:
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        return Oddity(shown(path.name), kind_of(mode))
    if not printable(path.name):
        return Oddity(shown(path.name), "a file whose name holds characters that cannot be shown")
    return look(path, safety)
