"""What a run does, written down while it does it: one JSON object a line.

The notebook's kernel writes, the command that executes it reads along. Whoever of them dies, what
was written stays, and evidence is made of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from archon_ops.model.trace import Trace, traced
from archon_ops.storage.atomic import FILE_MODE
from archon_ops.storage.explain import explained

NAME = "events.jsonl"


class Events:
    """The events of one run.

    Args:
        folder: where their file lies.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._read = 0

    def add(self, kind: str, **fields: Any) -> None:
        """Write down that something happened, now.

        Raises:
            PreconditionError: no space is left.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": now, "kind": kind, **fields}) + "\n"
        with explained("write", self.path):
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)

    def fresh(self) -> Iterator[dict[str, Any]]:
        """The events that came since the last call; a half-written line waits for its rest."""
        if not self.path.exists():
            return
        with explained("read", self.path), self.path.open("rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            self._read += len(line)
            yield json.loads(line)

    def trace(self) -> Trace:
        """The whole run so far."""
        return traced(Events(self.path.parent).fresh())
