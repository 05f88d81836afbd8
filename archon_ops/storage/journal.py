"""Run records on disk: one JSON file a run in .ops/runs/, readable while it runs."""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.model.runs import Result, RunRecord, ended
from archon_ops.storage.alive import is_alive
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.directory import Directory
from archon_ops.storage.explain import explained
from archon_ops.storage.files import read_limited
from archon_ops.storage.folders import ensure_folder

if TYPE_CHECKING:
    from pydantic import TypeAdapter

KEPT = 500
SIZE_LIMIT = 16 << 20
Read = Callable[[Path], "RunRecord | None"]
_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


@dataclass(frozen=True)
class Journal:
    """The run records of a backup directory.

    Attributes:
        directory: the backup directory.
        kept: how many of the newest records stay.
    """

    directory: Directory
    kept: int = KEPT

    @property
    def folder(self) -> Path:
        """Where the records lie."""
        return self.directory.ops / "runs"

    def start(self, record: RunRecord) -> None:
        """Write down that a run began, and drop the oldest records beyond the limit.

        Raises:
            PreconditionError: the directory refuses, or no space is left.
        """
        ensure_folder(self.directory.ops)
        ensure_folder(self.folder)
        self._write(record)
        for path in self._files()[self.kept :]:
            with explained("remove", path):
                path.unlink(missing_ok=True)

    def update(self, record: RunRecord) -> None:
        """Write down how far a run has come.

        Raises:
            PreconditionError: the directory refuses, or no space is left.
        """
        self._write(record)

    def finish(self, record: RunRecord) -> None:
        """Write down how a run ended.

        Raises:
            PreconditionError: the directory refuses, or no space is left.
        """
        self._write(record)

    def records(self, read: Read | None = None) -> tuple[RunRecord, ...]:
        """All that can be read, newest first.

        Args:
            read: what reads one; `read_record` by default.

        Raises:
            PreconditionError: the folder cannot be read.
        """
        read = read or read_record
        found = (read(path) for path in self._files())
        return tuple(record for record in found if record is not None)

    def damaged(self) -> tuple[str, ...]:
        """Names of the records that cannot be read.

        Raises:
            PreconditionError: the folder cannot be read.
        """
        return tuple(p.name for p in self._files() if read_record(p) is None and p.exists())

    def close_killed(self, now: datetime) -> tuple[RunRecord, ...]:
        """Write down as killed what claims to run and has no process; returns those records.

        Args:
            now: UTC time of the discovery.

        Raises:
            PreconditionError: the directory refuses.
        """
        running = [record for record in self.records() if record.result is Result.RUNNING]
        dead = [record for record in running if not is_alive(record)]
        closed = [ended(r, now, Result.KILLED, None, reason="its process vanished") for r in dead]
        for record in closed:
            self._write(record)
        return tuple(closed)

    def _write(self, record: RunRecord) -> None:
        if not _RUN_ID.fullmatch(record.id):
            raise ValueError(f"{record.id!r} is not a run id")
        document = _adapter().dump_python(record, mode="json")
        data = (json.dumps(document, indent=2) + "\n").encode()
        write_atomic(self.folder / f"{record.id}.json", data, record.id, overwrite=True)

    def _files(self) -> list[Path]:
        """The records' files, newest first: ids sort by time."""
        with explained("read the folder", self.folder):
            try:
                found = [p for p in self.folder.iterdir() if _RUN_ID.fullmatch(p.stem)]
            except FileNotFoundError:
                return []
        return sorted((p for p in found if p.suffix == ".json"), reverse=True)


def new_run_id(now: datetime) -> str:
    """A fresh id that sorts by time: YYYYmmddTHHMMSSZ-xxxx."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def read_record(path: Path) -> RunRecord | None:
    """One record; None where it cannot be read (`damaged` names those)."""
    try:
        return _adapter().validate_json(read_limited(path, SIZE_LIMIT), strict=True)
    except (OSError, ValueError):
        return None


@functools.cache
def _adapter() -> TypeAdapter[RunRecord]:
    from pydantic import TypeAdapter  # costs a tenth of a second, so only when used

    return TypeAdapter(RunRecord)
