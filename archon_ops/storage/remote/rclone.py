"""What rclone reaches (Google's and Azure's stores, SFTP, and many more), by rclone itself.

rclone cannot create a name only if it is free: here that is looked up first, and what arrived is
read back. Two machines that push the same name at the same moment are told apart by that alone.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts import process
from archon_ops.settings import own_variables
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.files import BLOCK
from archon_ops.storage.remote.base import Check, Entry, Stored, Write, taken
from archon_ops.storage.remote.source import Source

_LIST_SECONDS = 300.0
_SEND_SECONDS = 24 * 3600.0
_NOT_THERE = 3
_KEYS = ("AWS_", "AZURE_", "GOOGLE_")
_FLAGS = ("--quiet", "--retries", "3", "--low-level-retries", "5", "--contimeout", "15s")


@dataclass(frozen=True)
class Rclone:
    """A path of a remote that the user configured in rclone.

    Attributes:
        remote: the remote's name.
        path: in it.
        stall_seconds: how long the next bytes may take.
        run_id: who writes; part of temporary names.
    """

    remote: str
    path: str
    stall_seconds: float
    run_id: str

    @property
    def shown(self) -> str:
        """The remote and the path."""
        return f"rclone:{self.remote}:{self.path}"

    def list(self, prefix: str = "") -> list[Entry]:
        """Everything whose name begins with `prefix`."""
        folder = prefix.rpartition("/")[0]
        done = self._run("lsjson", "-R", "--files-only", self._at(folder), seconds=_LIST_SECONDS)
        if done.returncode == _NOT_THERE:
            return []
        self._require(done, "list")
        start = f"{folder}/" if folder else ""
        found = [Entry(start + f["Path"], f["Size"]) for f in json.loads(done.stdout)]
        return [entry for entry in found if entry.name.startswith(prefix)]

    def current(self, name: str) -> Stored | None:
        """Whether there is a file of that name."""
        return Stored() if any(entry.name == name for entry in self.list(name)) else None

    def put(self, name: str, source: Source, check: Check) -> Stored:
        """Store a file where nothing bears its name, and read it back."""
        if self.current(name) is not None:
            check()
            return self._same(name, source, sent=False)
        with (
            tempfile.TemporaryDirectory(prefix="archon-rclone-") as folder,
            Temporary(Path(folder), self.run_id) as file,
        ):
            done = 0
            while block := source.read(done, BLOCK):
                file.write(block)
                done += len(block)
            check()
            sent = self._run(
                "copyto", "--immutable", str(file.path), self._at(name), seconds=_SEND_SECONDS
            )
            self._require(sent, "write to")
        return self._same(name, source, sent=True)

    def get(self, name: str, write: Write, version: str = "") -> None:
        """Hand over the bytes of a file."""
        if self.current(name) is None:
            raise PreconditionError(f"there is no {name} in {self.shown}", "inv offsite.list")
        argv = self._argv("cat", self._at(name))
        with process.spawn(argv, pipe=True, env=_credentials()) as child:
            for block in child.blocks(self.stall_seconds):
                write(block)
            self._require(child.wait(self.stall_seconds), "read")

    def delete(self, name: str, version: str = "") -> None:
        """Remove a file; nothing if it is not there."""
        if self.current(name) is not None:
            done = self._run("deletefile", self._at(name), seconds=_LIST_SECONDS)
            self._require(done, "delete in")

    def locked_until(self, name: str, version: str = "") -> datetime | None:
        """Never: rclone tells of no such thing."""
        return None

    def sweep(self) -> int:
        """Nothing: what rclone leaves is its own to clean."""
        return 0

    def _same(self, name: str, source: Source, *, sent: bool) -> Stored:
        hashed = hashlib.sha256()
        self.get(name, hashed.update)
        if hashed.hexdigest() == source.digest()[0]:
            return Stored(sent=sent)
        if sent:
            raise OpsError(
                f"{self.shown}: {name} is not what was sent", "do not count on it; look at it"
            )
        raise taken(self.shown, name)

    def _at(self, name: str) -> str:
        path = f"{self.path}/{name}" if self.path and name else self.path or name
        return f"{self.remote}:{path}"

    def _argv(self, verb: str, *words: str) -> tuple[str, ...]:
        return ("rclone", verb, *_FLAGS, *words)

    def _run(self, verb: str, *words: str, seconds: float) -> process.Finished:
        try:
            return process.run(self._argv(verb, *words), timeout=seconds, env=_credentials())
        except PreconditionError as error:
            raise PreconditionError(error.message, "install the package rclone") from error

    def _require(self, done: process.Finished, doing: str) -> None:
        if not done.returncode:
            return
        if "didn't find section" in done.stderr:
            raise PreconditionError(
                f"rclone knows no remote {self.remote}", "rclone config; rclone listremotes"
            )
        raise OpsError(f"cannot {doing} {self.shown}: {done.reason}", "look at it with rclone")


def _credentials() -> dict[str, str]:
    """What other programs are not given, and a remote of rclone may take its keys from."""
    ours = own_variables().items()
    return {key: value.get_secret_value() for key, value in ours if key.startswith(_KEYS)}
