"""Reading a directory again and again: only what changed is read anew.

A server is asked many times a second, and a thousand manifests take a second to read. What is
remembered of each is what a status, a list or a metric says; the proof itself stays on the disk.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from archon_ops.model.backup import Backup, Manifest
from archon_ops.model.runs import RunRecord
from archon_ops.storage.directory import Directory, Listing, load
from archon_ops.storage.journal import Journal, read_record
from archon_ops.storage.names import manifest_path, verify_path

# Identity, length and times of a file, or None where there is none. An edit that sets the time of
# last modification back still changes the inode's own.
_State = tuple[int, int, int, int] | None
_States = tuple[_State, ...]
T = TypeVar("T")


@dataclass
class Memory:
    """What was read of one directory; not to be used by two threads at once.

    Attributes:
        directory: the backup directory.
    """

    directory: Directory
    _backups: dict[Path, tuple[_States, Backup]] = field(default_factory=dict)
    _records: dict[Path, tuple[_States, RunRecord | None]] = field(default_factory=dict)

    def scan(self) -> Listing:
        """The same as Directory.scan, of what changed since.

        Raises:
            PreconditionError: the directory cannot be read.
        """
        seen: dict[Path, tuple[_States, Backup]] = {}

        def look(dump: Path, safety: bool) -> Backup:
            files = (dump, manifest_path(dump), verify_path(dump))
            seen[dump] = _again(self._backups.get(dump), files, lambda: _slim(load(dump, safety)))
            return seen[dump][1]

        listing = self.directory.scan(look)
        self._backups = seen
        return listing

    def records(self) -> tuple[RunRecord, ...]:
        """The same as Journal.records, of what changed since.

        Raises:
            PreconditionError: the folder cannot be read.
        """
        seen: dict[Path, tuple[_States, RunRecord | None]] = {}

        def read(path: Path) -> RunRecord | None:
            known = self._records.get(path)
            seen[path] = _again(known, (path,), lambda: _without_phases(read_record(path)))
            return seen[path][1]

        records = Journal(self.directory).records(read)
        self._records = seen
        return records


def _again(
    known: tuple[_States, T] | None, files: Iterable[Path], read: Callable[[], T]
) -> tuple[_States, T]:
    """What was read of these files, read anew if one of them changed."""
    states = tuple(_state(path) for path in files)  # before reading: a later change shows
    return known if known and known[0] == states else (states, read())


def _state(path: Path) -> _State:
    try:
        found = os.lstat(path)
    except OSError:  # what is wrong with it, reading it tells
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _slim(backup: Backup) -> Backup:
    """A backup without the bulk of its manifest: one of a large schema takes a megabyte."""
    return replace(backup, manifest=_slimmed(backup.manifest)) if backup.manifest else backup


def _slimmed(manifest: Manifest) -> Manifest:
    tables = tuple(
        replace(
            table,
            schema=sys.intern(table.schema),
            table=sys.intern(table.table),
            content="",
            generated=None,
            columns=(),
        )
        for table in manifest.tables
    )
    return replace(
        manifest,
        tables=tables,
        sequences=(),
        inventory={},
        attributes={},
        extensions=(),
        roles=(),
        sizes=(),
        snapshot="",
    )


def _without_phases(record: RunRecord | None) -> RunRecord | None:
    return replace(record, phases=()) if record else None
