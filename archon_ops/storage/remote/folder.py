"""A folder on another disk, or on a NAS that is mounted here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.explain import explained
from archon_ops.storage.files import BLOCK, blocks, sha256_of
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.names import is_temporary
from archon_ops.storage.remote.base import Check, Entry, Stored, Write, taken
from archon_ops.storage.remote.source import Source
from archon_ops.storage.sweep import sweep_temporary


@dataclass(frozen=True)
class Folder:
    """A folder as a place offsite.

    Attributes:
        path: it must exist: one that is not there is a disk that is not mounted.
        run_id: who writes; part of temporary names.
        below: the part of every name that this place may make folders of.
    """

    path: Path
    run_id: str

    @property
    def shown(self) -> str:
        """The folder."""
        return str(self.path)

    def list(self, prefix: str = "") -> list[Entry]:
        """Everything below it whose name begins with `prefix`."""
        self._require()
        with explained("read the folder", self.path):
            return sorted(self._entries(prefix), key=lambda entry: entry.name)

    def current(self, name: str) -> Stored | None:
        """Whether there is a file of that name."""
        self._require()
        return Stored() if os.path.lexists(self.path / name) else None

    def put(self, name: str, source: Source, check: Check) -> Stored:
        """Write a file, read it back from the disk, and only then give it its name."""
        self._require()
        target = self.path / name
        if os.path.lexists(target):
            return self._same(target, name, source, check)
        for parent in reversed(target.relative_to(self.path).parents[:-1]):
            ensure_folder(self.path / parent)
        sweep_temporary(target.parent)
        with Temporary(target.parent, self.run_id) as file:
            done = 0
            while block := source.read(done, BLOCK):
                file.write(block)
                done += len(block)
            check()
            file.sync()
            if sha256_of(file.path, cold=True) != source.digest():
                raise OpsError(
                    f"{self.path} does not give back what was written to it", "check that disk"
                )
            with suppress(PreconditionError):
                file.publish(target)
                return Stored()
            if not os.path.lexists(target):  # it was not that the name is taken
                file.publish(target)
        return self._same(target, name, source, check)

    def get(self, name: str, write: Write, version: str = "") -> None:
        """Hand over the bytes of a file."""
        self._require()
        path = self.path / name
        with explained("read", path):
            found = blocks(path)
            while (block := next(found, b"")) != b"":
                write(block)

    def delete(self, name: str, version: str = "") -> None:
        """Remove a file."""
        self._require()
        path = self.path / name
        with explained("remove", path):
            path.unlink(missing_ok=True)

    def locked_until(self, name: str, version: str = "") -> datetime | None:
        """Never: a folder knows no such thing."""
        return None

    def sweep(self) -> int:
        """Nothing: every put removes what dead ones left beside it."""
        return 0

    def _same(self, target: Path, name: str, source: Source, check: Check) -> Stored:
        check()
        if sha256_of(target) != source.digest():
            raise taken(self.shown, name)
        return Stored(sent=False)

    def _entries(self, prefix: str) -> Iterator[Entry]:
        for folder, _, files in os.walk(self.path / prefix.rpartition("/")[0]):
            for file in files:
                path = Path(folder, file)
                name = path.relative_to(self.path).as_posix()
                if name.startswith(prefix) and not is_temporary(file):
                    with suppress(FileNotFoundError):
                        yield Entry(name, path.lstat().st_size)

    def _require(self) -> None:
        with explained("look at", self.path):
            there = self.path.is_dir()
        if not there and self.path.exists():
            raise PreconditionError(f"{self.path} is no folder", "name the folder of the copies")
        if not there:
            raise PreconditionError(
                f"the folder {self.path} does not exist: is its disk mounted?",
                "mount it; a new place has to be made by you: mkdir",
            )
